// Configuration: JSON files with comments and inheritance, `--set key=value`, and what is written from the same fields.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "capture/base/fields.h"
#include "capture/base/json.h"

namespace capture {

/// Reads `file` and the files it names under "base" (a path relative to the naming file), the nearer file winning key
/// by key, then lays the `settings` ("model.text.layers=2", values as JSON or bare text) over it. An empty path stands
/// for an empty file. UserError on a cycle of bases, a setting without "=", or a key path that goes through a value
/// which is not an object.
JsonDocument read_config(const std::filesystem::path& file, const std::vector<std::string>& settings = {});

namespace detail {
std::unique_ptr<FieldVisitor> json_reader(const JsonDocument& document);
std::unique_ptr<FieldVisitor> json_writer(Json& json);
std::unique_ptr<FieldVisitor> schema_writer(Json& schema);
std::unique_ptr<FieldVisitor> help_writer(std::string& text);
}  // namespace detail

/// Fills `options` from the document; what the document leaves out keeps its default. UserError, with file, line and
/// key path, on an unknown key (naming the nearest known one), a wrong type, a value out of range, or options whose
/// check() finds them in contradiction.
template <class Options>
void read_options(const JsonDocument& document, Options& options) {
  detail::json_reader(document)->visit_struct(options);
}

/// Every field with its value, in the order of visit().
template <class Options>
Json to_json(Options options) {
  Json json = Json::object();
  detail::json_writer(json)->visit_struct(options);
  return json;
}

/// A JSON Schema (draft 2020-12) of the options, for editors: types, defaults, ranges, help; unknown keys refused.
template <class Options>
Json to_schema(Options options, const std::string& title) {
  Json schema = Json::object();
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = title;
  detail::schema_writer(schema)->visit_struct(options);
  schema["properties"]["base"] = {{"type", "string"}, {"description", "A config that this one inherits from."}};
  schema["properties"]["$schema"] = {{"type", "string"}};
  return schema;
}

/// The same as text for --help-config: one line a key with its default, range and help.
template <class Options>
std::string to_help(Options options) {
  std::string text;
  detail::help_writer(text)->visit_struct(options);
  return text;
}

}  // namespace capture
