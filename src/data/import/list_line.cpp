#include <array>
#include <string>

#include "capture/base/text_lines.h"
#include "capture/data/import/row.h"
#include "row_checks.h"

namespace capture {

ListLine parse_list_line(std::string_view line) {
  ListLine parsed;
  parse_list_line(line, parsed);
  return parsed;
}

void parse_list_line(std::string_view line, ListLine& parsed) {
  parsed.fields = 0;
  parsed.labels.clear();
  std::string_view labels;
  const std::array<std::string_view*, 5> parts = {&parsed.id, &parsed.caption, &parsed.source_url, &parsed.mirror_url,
                                                  &labels};
  split(line, "#####", [&](std::string_view field) {
    if (parsed.fields < parts.size()) *parts[parsed.fields] = field;
    ++parsed.fields;
  });
  if (parsed.fields < parts.size()) {
    const std::string count = std::to_string(parsed.fields) + (parsed.fields == 1 ? " field" : " fields");
    refuse_row(line.empty() ? "the line is empty" : "the line has " + count,
               "id#####caption#####source url#####mirror url#####labels");
  }
  split(labels, "#;#", [&](std::string_view label) { parsed.labels.push_back(label); });
}

}  // namespace capture
