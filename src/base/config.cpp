#include "capture/base/config.h"

#include <algorithm>

#include "capture/base/error.h"

namespace capture {

namespace {

constexpr size_t kMaxBases = 16;

std::string join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

/// Drops the origins of everything below `path`, and of `path` itself.
void forget(std::map<std::string, std::string>& origins, const std::string& path) {
  std::erase_if(origins, [&](const auto& entry) {
    const std::string& key = entry.first;
    return key == path || (key.starts_with(path) && (key[path.size()] == '.' || key[path.size()] == '['));
  });
}

/// Lays `over` on `under`: objects key by key, everything else replaced whole.
void overlay(JsonDocument& under, const JsonDocument& over, Json& target, const Json& source, const std::string& path) {
  for (const auto& [key, value] : source.items()) {
    const std::string here = join(path, key);
    if (value.is_object() && target.contains(key) && target[key].is_object()) {
      under.origins[here] = over.origins.at(here);
      overlay(under, over, target[key], value, here);
      continue;
    }
    forget(under.origins, here);
    target[key] = value;
    for (auto at = over.origins.lower_bound(here); at != over.origins.end() && at->first.starts_with(here); ++at) {
      under.origins.insert(*at);
    }
  }
}

JsonDocument read_with_bases(const std::filesystem::path& file, std::vector<std::filesystem::path> seen) {
  std::error_code error;
  const auto canonical = std::filesystem::weakly_canonical(file, error);
  if (std::ranges::find(seen, canonical) != seen.end() || seen.size() >= kMaxBases) {
    throw UserError({.what = "\"base\" leads back to a file that is being read, or is more than " +
                             std::to_string(kMaxBases) + " files deep",
                     .where = file.string(),
                     .hint = "remove the circle"});
  }
  seen.push_back(canonical);
  JsonDocument document = read_json(file);
  if (!document.root.is_object()) {
    throw UserError({.what = "a configuration must be a JSON object", .where = file.string(), .allowed = "{ … }"});
  }
  document.root.erase("$schema");
  if (!document.root.contains("base")) return document;

  const Json base = document.root["base"];
  const std::string where = document.origins.at("base");
  if (!base.is_string()) {
    throw UserError({.what = "\"base\" is " + to_line(base), .where = where, .allowed = "the path of a config file"});
  }
  document.root.erase("base");
  document.origins.erase("base");
  JsonDocument merged;
  try {
    merged = read_with_bases(file.parent_path() / base.get<std::string>(), std::move(seen));
  } catch (const UserError& failure) {
    throw UserError({.what = failure.what(), .where = where + " (\"base\")"});
  }
  overlay(merged, document, merged.root, document.root, "");
  return merged;
}

void apply_setting(JsonDocument& document, const std::string& setting) {
  const std::string where = "--set " + setting;
  const size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UserError(
        {.what = "is not of the form key=value", .where = where, .allowed = "e.g. --set model.text.layers=2"});
  }
  const std::string path = setting.substr(0, equals);
  const std::string text = setting.substr(equals + 1);
  Json value = Json::accept(text) ? parse_json(text, where).root : Json(text);

  Json* node = &document.root;
  std::string here;
  for (size_t start = 0;;) {
    const size_t dot = path.find('.', start);
    const std::string key = path.substr(start, dot == std::string::npos ? std::string::npos : dot - start);
    here = join(here, key);
    if (key.empty()) throw UserError({.what = "has an empty key", .where = where, .allowed = "key.key=value"});
    node = &(*node)[key];
    if (dot == std::string::npos) break;
    if (node->is_null()) *node = Json::object();
    if (!node->is_object()) throw UserError({.what = here + " is a value, it has no keys of its own", .where = where});
    start = dot + 1;
  }
  *node = std::move(value);
  forget(document.origins, path);
  document.origins[path] = where;
}

}  // namespace

JsonDocument read_config(const std::filesystem::path& file, const std::vector<std::string>& settings) {
  JsonDocument document;
  document.root = Json::object();
  if (!file.empty()) document = read_with_bases(file, {});
  for (const auto& setting : settings) apply_setting(document, setting);
  return document;
}

}  // namespace capture
