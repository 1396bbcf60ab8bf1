// The four visitors behind read_options, to_json, to_schema and to_help.
#include "capture/base/fields.h"

#include <algorithm>
#include <cmath>

#include "capture/base/config.h"
#include "capture/base/error.h"

namespace capture::detail {

namespace {

std::string join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

std::string number(int64_t value) {
  return std::to_string(value);
}
std::string number(double value) {
  return Json(value).dump();
}

template <class T>
std::string in_words(const Range<T>& range) {
  const bool low = range.low != std::numeric_limits<T>::lowest();
  const bool high = range.high != std::numeric_limits<T>::max();
  if (low && high) return number(range.low) + " to " + number(range.high);
  if (low) return "at least " + number(range.low);
  if (high) return "at most " + number(range.high);
  return {};
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

class Reader final : public FieldVisitor, private FieldChecker {
 public:
  explicit Reader(const JsonDocument& document) : document_(document) { levels_.push_back({&document.root, "", {}}); }

  void field(const char* name, bool& value, const char*) override {
    if (const Json* json = find(name)) {
      if (!json->is_boolean()) wrong(name, *json, "true or false");
      value = json->get<bool>();
    }
  }
  void field(const char* name, int64_t& value, const char*, Range<int64_t> range) override {
    if (const Json* json = find(name)) value = integer(path_of(name), *json, range);
  }
  void field(const char* name, double& value, const char*, Range<double> range) override {
    if (const Json* json = find(name)) value = real(path_of(name), *json, range);
  }
  void field(const char* name, std::string& value, const char*) override {
    if (const Json* json = find(name)) value = text(path_of(name), *json);
  }
  void field(const char* name, std::vector<int64_t>& value, const char*, Range<int64_t> range) override {
    read_list(name, value, [&](const std::string& path, const Json& json) { return integer(path, json, range); });
  }
  void field(const char* name, std::vector<double>& value, const char*, Range<double> range) override {
    read_list(name, value, [&](const std::string& path, const Json& json) { return real(path, json, range); });
  }
  void field(const char* name, std::vector<std::string>& value, const char*) override {
    read_list(name, value, [&](const std::string& path, const Json& json) { return text(path, json); });
  }

 protected:
  void choice_of(const char* name, std::string& value, const char*, const std::vector<std::string>& allowed) override {
    const Json* json = find(name);
    if (json == nullptr) return;
    if (!json->is_string()) wrong(name, *json, "one of " + listed(allowed));
    const std::string chosen = text(path_of(name), *json);
    for (const auto& option : allowed) {
      if (option == chosen) {
        value = chosen;
        return;
      }
    }
    const std::string near = nearest_word(chosen, allowed);
    fail(path_of(name), " is \"" + chosen + "\"", "one of " + listed(allowed),
         near.empty() ? "" : "did you mean \"" + near + "\"?");
  }

  void begin_section(const char* name, const char*) override {
    static const Json empty = Json::object();
    const Json* json = find(name);
    if (json != nullptr && !json->is_object()) wrong(name, *json, "an object: { … }");
    levels_.push_back({json == nullptr ? &empty : json, path_of(name), {}});
  }
  void end_section() override { levels_.pop_back(); }

  size_t begin_list(const char* name, size_t, const char*) override {
    const Json* json = find(name);
    lists_.push_back({json, path_of(name)});
    if (json == nullptr) return 0;
    if (!json->is_array()) wrong(name, *json, "a list of objects: [ { … }, … ]");
    return json->size();
  }
  void begin_item(size_t index) override {
    const Json& item = (*lists_.back().json)[index];
    const std::string path = lists_.back().path + "[" + std::to_string(index) + "]";
    if (!item.is_object()) fail(path, " is " + to_line(item).substr(0, 60), "an object: { … }", "");
    levels_.push_back({&item, path, {}});
  }
  void end_item() override { levels_.pop_back(); }
  bool end_list() override {
    const bool given = lists_.back().json != nullptr;
    lists_.pop_back();
    return given;
  }
  bool replaces_lists() const override { return true; }
  FieldChecker* checker() override { return this; }

  void end_fields() override {
    const Level& level = levels_.back();
    for (const auto& [key, value] : level.json->items()) {
      if (std::find(level.known.begin(), level.known.end(), key) != level.known.end()) continue;
      const std::string near = nearest_word(key, level.known);
      fail(join(level.path, key), " is not a known key", listed(level.known),
           near.empty() ? "" : "did you mean \"" + join(level.path, near) + "\"?");
    }
  }

 private:
  struct Level {
    const Json* json;
    std::string path;
    std::vector<std::string> known;
  };
  struct List {
    const Json* json;  // null when the document leaves the list out
    std::string path;
  };

  void require(bool ok, const std::string& key, const std::string& what, const std::string& allowed) override {
    if (ok) return;
    const std::string path = path_of(key.c_str());
    fail(path, " " + what, allowed, "");
  }

  std::string path_of(const char* name) const { return join(levels_.back().path, name); }

  const Json* find(const char* name) {
    Level& level = levels_.back();
    level.known.emplace_back(name);
    const auto at = level.json->find(name);
    return at == level.json->end() ? nullptr : &*at;
  }

  [[noreturn]] void fail(const std::string& path, const std::string& what, const std::string& allowed,
                         const std::string& hint) const {
    // The nearest enclosing value with a known place: a default that clashes has none of its own.
    std::string near = path;
    auto at = document_.origins.find(near);
    while (at == document_.origins.end() && !near.empty()) {
      const size_t cut = near.find_last_of(".[");
      near = cut == std::string::npos ? "" : near.substr(0, cut);
      at = document_.origins.find(near);
    }
    throw UserError({.what = path + what,
                     .where = at == document_.origins.end() ? "the configuration" : at->second,
                     .allowed = allowed,
                     .hint = hint});
  }

  [[noreturn]] void wrong(const char* name, const Json& json, const std::string& allowed) const {
    fail(path_of(name), " is " + to_line(json).substr(0, 60), allowed, "");
  }

  int64_t integer(const std::string& path, const Json& json, Range<int64_t> range) const {
    const std::string allowed = "a whole number" + (in_words(range).empty() ? "" : ", " + in_words(range));
    const bool fits = json.is_number_integer() &&
                      !(json.is_number_unsigned() &&
                        json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
    if (!fits) fail(path, " is " + to_line(json).substr(0, 60), allowed, "");
    const auto value = json.get<int64_t>();
    if (value < range.low || value > range.high) fail(path, " is " + to_line(json), allowed, "");
    return value;
  }

  double real(const std::string& path, const Json& json, Range<double> range) const {
    const std::string allowed = "a number" + (in_words(range).empty() ? "" : ", " + in_words(range));
    if (!json.is_number()) fail(path, " is " + to_line(json).substr(0, 60), allowed, "");
    const auto value = json.get<double>();
    if (!std::isfinite(value) || value < range.low || value > range.high)
      fail(path, " is " + to_line(json), allowed, "");
    return value;
  }

  std::string text(const std::string& path, const Json& json) const {
    if (!json.is_string()) fail(path, " is " + to_line(json).substr(0, 60), "text in quotes", "");
    auto value = json.get<std::string>();
    // A path would end there.
    if (value.find('\0') != std::string::npos) fail(path, " holds the character U+0000", "text without it", "");
    return value;
  }

  template <class T, class Read>
  void read_list(const char* name, std::vector<T>& value, const Read& read) {
    const Json* json = find(name);
    if (json == nullptr) return;
    if (!json->is_array()) wrong(name, *json, "a list: [ … ]");
    value.clear();
    for (size_t i = 0; i < json->size(); ++i)
      value.push_back(read(path_of(name) + "[" + std::to_string(i) + "]", (*json)[i]));
  }

  const JsonDocument& document_;
  std::vector<Level> levels_;
  std::vector<List> lists_;  // a stack: an item of a list may hold lists
};

/// What the three writers share: where in the output the next field goes.
class Writer : public FieldVisitor {
 public:
  void field(const char* name, bool& value, const char* help) override {
    put(name, "boolean", value, help, Json::object(), "");
  }
  void field(const char* name, int64_t& value, const char* help, Range<int64_t> range) override {
    put(name, "integer", value, help, limits(range), in_words(range));
  }
  void field(const char* name, double& value, const char* help, Range<double> range) override {
    put(name, "number", value, help, limits(range), in_words(range));
  }
  void field(const char* name, std::string& value, const char* help) override {
    put(name, "string", value, help, Json::object(), "");
  }
  void field(const char* name, std::vector<int64_t>& value, const char* help, Range<int64_t> range) override {
    Json item = limits(range);
    item["type"] = "integer";
    put(name, "array", value, help, {{"items", item}}, in_words(range));
  }
  void field(const char* name, std::vector<double>& value, const char* help, Range<double> range) override {
    Json item = limits(range);
    item["type"] = "number";
    put(name, "array", value, help, {{"items", item}}, in_words(range));
  }
  void field(const char* name, std::vector<std::string>& value, const char* help) override {
    put(name, "array", value, help, {{"items", {{"type", "string"}}}}, "");
  }

 protected:
  void choice_of(const char* name, std::string& value, const char* help,
                 const std::vector<std::string>& allowed) override {
    put(name, "string", value, help, {{"enum", allowed}}, listed(allowed));
  }

  /// `limits`: the schema's own keywords for the allowed values; `allowed`: the same in words.
  virtual void put(const char* name, const char* type, const Json& value, const char* help, const Json& limits,
                   const std::string& allowed) = 0;

 private:
  template <class T>
  static Json limits(const Range<T>& range) {
    Json json = Json::object();
    if (range.low != std::numeric_limits<T>::lowest()) json["minimum"] = range.low;
    if (range.high != std::numeric_limits<T>::max()) json["maximum"] = range.high;
    return json;
  }
};

class JsonWriter final : public Writer {
 public:
  explicit JsonWriter(Json& json) { nodes_.push_back(&json); }

 protected:
  void put(const char* name, const char*, const Json& value, const char*, const Json&, const std::string&) override {
    (*nodes_.back())[name] = value;
  }
  void begin_section(const char* name, const char*) override {
    nodes_.push_back(&((*nodes_.back())[name] = Json::object()));
  }
  void end_section() override { nodes_.pop_back(); }
  size_t begin_list(const char* name, size_t size, const char*) override {
    nodes_.push_back(&((*nodes_.back())[name] = Json::array()));
    return size;
  }
  void begin_item(size_t) override {
    nodes_.back()->push_back(Json::object());
    nodes_.push_back(&nodes_.back()->back());
  }
  void end_item() override { nodes_.pop_back(); }
  bool end_list() override {
    nodes_.pop_back();
    return false;
  }

 private:
  std::vector<Json*> nodes_;
};

class SchemaWriter final : public Writer {
 public:
  explicit SchemaWriter(Json& schema) { open(schema); }

 protected:
  void put(const char* name, const char* type, const Json& value, const char* help, const Json& limits,
           const std::string&) override {
    Json& field = (*nodes_.back())["properties"][name];
    field["type"] = type;
    field["description"] = help;
    field.update(limits);
    field["default"] = value;
  }
  void begin_section(const char* name, const char* help) override {
    Json& section = (*nodes_.back())["properties"][name];
    section["description"] = help;
    open(section);
  }
  void end_section() override { nodes_.pop_back(); }
  size_t begin_list(const char* name, size_t, const char* help) override {
    Json& list = (*nodes_.back())["properties"][name];
    list["type"] = "array";
    list["description"] = help;
    open(list["items"]);
    return 1;
  }
  void begin_item(size_t) override {}
  void end_item() override {}
  bool end_list() override {
    nodes_.pop_back();
    return false;
  }

 private:
  void open(Json& node) {
    node["type"] = "object";
    node["additionalProperties"] = false;
    node["properties"] = Json::object();
    nodes_.push_back(&node);
  }

  std::vector<Json*> nodes_;
};

class HelpWriter final : public Writer {
 public:
  explicit HelpWriter(std::string& text) : text_(text) {}

 protected:
  void put(const char* name, const char*, const Json& value, const char* help, const Json&,
           const std::string& allowed) override {
    text_ += join(path_, name) + " = " + to_line(value);
    if (!allowed.empty()) text_ += "  (" + allowed + ")";
    text_ += std::string("\n    ") + help + "\n";
  }
  void begin_section(const char* name, const char* help) override {
    lengths_.push_back(path_.size());
    path_ = join(path_, name);
    text_ += "\n[" + path_ + "] " + help + "\n";
  }
  void end_section() override {
    path_.resize(lengths_.back());
    lengths_.pop_back();
  }
  size_t begin_list(const char* name, size_t, const char* help) override {
    begin_section((std::string(name) + "[]").c_str(), help);
    return 1;
  }
  void begin_item(size_t) override {}
  void end_item() override {}
  bool end_list() override {
    end_section();
    return false;
  }

 private:
  std::string& text_;
  std::string path_;
  std::vector<size_t> lengths_;
};

}  // namespace

std::unique_ptr<FieldVisitor> json_reader(const JsonDocument& document) {
  return std::make_unique<Reader>(document);
}
std::unique_ptr<FieldVisitor> json_writer(Json& json) {
  return std::make_unique<JsonWriter>(json);
}
std::unique_ptr<FieldVisitor> schema_writer(Json& schema) {
  return std::make_unique<SchemaWriter>(schema);
}
std::unique_ptr<FieldVisitor> help_writer(std::string& text) {
  return std::make_unique<HelpWriter>(text);
}

}  // namespace capture::detail
