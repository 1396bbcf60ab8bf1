// Strict JSON: comments are allowed, duplicate keys are not, and every value knows the line it came from.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace capture {

using Json = nlohmann::ordered_json;

/// A parsed JSON text and, for each value ("model.text.layers", "groups[0].lr"), the place it was written:
/// "configs/demo.json:12".
struct JsonDocument {
  Json root;
  std::map<std::string, std::string> origins;
};

/// Parses JSON with // and /* */ comments. UserError with file and line on a syntax error, a duplicate key, bytes that
/// are not UTF-8, or nesting deeper than 64. `name` is what messages call the text.
JsonDocument parse_json(std::string_view text, const std::string& name);

/// parse_json of a file.
JsonDocument read_json(const std::filesystem::path& path);

/// The text as one line of JSON, bytes that are not UTF-8 replaced.
std::string to_line(const Json& value);

/// Indented by two spaces, with a final newline.
std::string to_text(const Json& value);

}  // namespace capture
