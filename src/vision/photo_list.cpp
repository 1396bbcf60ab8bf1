#include "capture/vision/photo_list.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/json.h"
#include "capture/base/text_lines.h"
#include "csv.h"

namespace capture {

namespace {

constexpr std::string_view kBlanks = " \t\r\n\f\v";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kBlanks) == std::string_view::npos;
}

std::vector<std::string> split(std::string_view text, const std::string& separator) {
  std::vector<std::string> parts;
  for (size_t start = 0;;) {
    const size_t end = separator.empty() ? std::string_view::npos : text.find(separator, start);
    const std::string_view part = text.substr(start, end == std::string_view::npos ? end : end - start);
    if (!is_blank(part)) parts.emplace_back(part);
    if (end == std::string_view::npos) return parts;
    start = end + separator.size();
  }
}

std::string text_problem(const std::string& name, const std::string& text) {
  if (is_blank(text)) return "the " + name + " is empty";
  if (text.find('\0') != std::string::npos) return "the " + name + " holds a NUL byte";
  if (!is_utf8(text)) return "the " + name + " is not UTF-8";
  return {};
}

/// What both kinds of list must hold of a row.
std::string entry_problem(const PhotoEntry& entry) {
  if (std::string problem = text_problem("image", entry.image); !problem.empty()) return problem;
  if (std::string problem = text_problem("id", entry.id); !problem.empty()) return problem;
  if (entry.titles.empty()) return "the title is empty";
  for (const auto& title : entry.titles) {
    if (std::string problem = text_problem("title", title); !problem.empty()) return problem;
  }
  for (const auto& label : entry.labels) {
    if (std::string problem = text_problem("label", label); !problem.empty()) return problem;
  }
  return {};
}

/// Where each column of a CSV stands.
struct Columns {
  size_t count;
  size_t image;
  size_t title;
  std::optional<size_t> labels;
  std::optional<size_t> id;
};

Columns read_header(const CsvRow& header, const std::string& path) {
  const auto find = [&](const std::string& name) -> std::optional<size_t> {
    const auto at = std::ranges::find(header.fields, name);
    if (at == header.fields.end()) return std::nullopt;
    return at - header.fields.begin();
  };
  for (const char* needed : {"image", "title"}) {
    if (header.problem.empty() && find(needed)) continue;
    std::string found;
    for (const auto& field : header.fields) found += (found.empty() ? "" : ", ") + field.substr(0, 40);
    throw UserError({.what = "the header has no column \"" + std::string(needed) + "\", it reads: " + found,
                     .where = path + ":" + std::to_string(header.line),
                     .allowed = "columns image, title and optionally labels and id, parted by commas"});
  }
  return {header.fields.size(), *find("image"), *find("title"), find("labels"), find("id")};
}

std::vector<PhotoEntry> read_csv(std::string_view text, const std::string& path, const std::string& separator) {
  CsvReader reader(text);
  const std::optional<CsvRow> header = reader.next();
  if (!header) return {};
  const Columns columns = read_header(*header, path);
  std::vector<PhotoEntry> entries;
  while (std::optional<CsvRow> row = reader.next()) {
    PhotoEntry& entry = entries.emplace_back();
    entry.line = row->line;
    entry.problem = row->problem;
    if (entry.problem.empty() && row->fields.size() != columns.count) {
      entry.problem =
          "has " + std::to_string(row->fields.size()) + " fields, the header has " + std::to_string(columns.count);
    }
    if (!entry.problem.empty()) continue;
    entry.image = row->fields[columns.image];
    if (!is_blank(row->fields[columns.title])) entry.titles = {row->fields[columns.title]};
    if (columns.labels) entry.labels = split(row->fields[*columns.labels], separator);
    entry.id = columns.id ? row->fields[*columns.id] : entry.image;
    entry.problem = entry_problem(entry);
  }
  return entries;
}

/// Text, or a list of texts; anything else is a UserError.
std::vector<std::string> texts(const Json& value, const std::string& key) {
  if (value.is_string()) return {value.get<std::string>()};
  std::vector<std::string> found;
  const bool listed = value.is_array() && std::ranges::all_of(value, [](const Json& item) { return item.is_string(); });
  if (!listed) throw UserError({.what = "\"" + key + "\" is neither text nor a list of texts"});
  return value.get<std::vector<std::string>>();
}

/// One line. UserError, without a place, when it is no JSON object or a value has the wrong type.
void read_object(std::string_view line, PhotoEntry& entry) {
  const Json row = parse_json(line, "the line").root;
  if (!row.is_object()) throw UserError({.what = "is not a JSON object"});
  const auto text = [&](const std::string& key) -> std::string {
    if (!row.contains(key)) return {};
    if (!row[key].is_string()) throw UserError({.what = "\"" + key + "\" is not text"});
    return row[key].get<std::string>();
  };
  for (const char* needed : {"image", "title"}) {
    if (!row.contains(needed)) throw UserError({.what = "has no \"" + std::string(needed) + "\""});
  }
  entry.image = text("image");
  entry.id = row.contains("id") ? text("id") : entry.image;
  entry.titles = texts(row["title"], "title");
  if (row.contains("labels")) entry.labels = texts(row["labels"], "labels");
}

std::vector<PhotoEntry> read_json_lines(std::string_view text) {
  std::vector<PhotoEntry> entries;
  int64_t number = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    start = end + 1;
    ++number;
    if (is_blank(line)) continue;
    PhotoEntry& entry = entries.emplace_back();
    entry.line = number;
    try {
      read_object(line, entry);
      entry.problem = entry_problem(entry);
    } catch (const UserError& error) {
      entry.problem = error.parts().what;
    }
  }
  return entries;
}

void name_repeated_ids(std::vector<PhotoEntry>& entries) {
  std::unordered_map<std::string_view, int64_t> first;
  for (PhotoEntry& entry : entries) {
    if (!entry.problem.empty()) continue;
    const auto [seen, added] = first.emplace(entry.id, entry.line);
    if (!added) entry.problem = "the id \"" + entry.id + "\" stands on line " + std::to_string(seen->second) + " too";
  }
}

}  // namespace

std::vector<PhotoEntry> read_photo_list(const std::filesystem::path& path, const std::string& label_separator) {
  const MappedFile file(path);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    throw UserError({.what = "is UTF-16", .where = path.string(), .allowed = "UTF-8", .hint = "save it as UTF-8"});
  }
  const size_t first = text.find_first_not_of(kBlanks);
  const bool json = first != std::string_view::npos && text[first] == '{';
  std::vector<PhotoEntry> entries = json ? read_json_lines(text) : read_csv(text, path.string(), label_separator);
  if (entries.empty()) {
    throw UserError({.what = "lists no photos",
                     .where = path.string(),
                     .allowed = "CSV with a header (image,title,labels,id), or one JSON object a line"});
  }
  name_repeated_ids(entries);
  return entries;
}

}  // namespace capture
