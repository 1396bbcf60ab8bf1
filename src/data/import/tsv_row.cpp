#include <array>
#include <bit>
#include <charconv>
#include <string>

#include "capture/base/base64.h"
#include "capture/data/import/row.h"
#include "row_checks.h"

namespace capture {

static_assert(std::endian::native == std::endian::little, "the files' numbers are little-endian");

namespace {

constexpr size_t kColumns = 7;

std::string_view without_line_end(std::string_view line, const RowRules& rules) {
  if (!line.ends_with('\r')) return line;
  if (!rules.windows_line_ends) {
    refuse_row("ends as lines on Windows do, in \\r\\n", "lines that end in \\n", "--windows-line-ends takes them too");
  }
  line.remove_suffix(1);
  return line;
}

/// Returns how many columns there are; the first seven of them are in `columns`.
size_t split_columns(std::string_view line, std::array<std::string_view, kColumns>& columns) {
  size_t count = 0;
  for (;;) {
    const size_t end = line.find('\t');
    if (count < kColumns) columns[count] = line.substr(0, end);
    ++count;
    if (end == std::string_view::npos) return count;
    line.remove_prefix(end + 1);
  }
}

int64_t parse_number(std::string_view text, const char* what) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    refuse_row(std::string("has ") + quoted(text) + " for its " + what, "a whole number");
  }
  return value;
}

/// How many numbers of four bytes the text stands for.
uint64_t float_count(std::string_view text, const char* what) {
  const auto bytes = base64_bytes(text);
  if (!bytes) {
    refuse_row(std::string("has ") + what + " of " + std::to_string(text.size()) + " base64 characters",
               "a multiple of 4", "the row was cut short or damaged");
  }
  if (*bytes % sizeof(float) != 0) {
    refuse_row(std::string("has ") + what + " of " + std::to_string(*bytes) + " bytes", "a multiple of 4, float32");
  }
  return *bytes / sizeof(float);
}

void decode(std::string_view text, const char* what, uint64_t count, std::vector<float>& values) {
  values.resize(count);
  const size_t wrong = from_base64(text, std::as_writable_bytes(std::span(values)));
  if (wrong == std::string_view::npos) return;
  refuse_row(std::string("has ") + what + " that are not base64: character " + std::to_string(wrong + 1) + " is " +
             quoted(text.substr(wrong, 1)));
}

}  // namespace

std::string_view tsv_row_id(std::string_view line) {
  const size_t end = line.find('\t');
  return end == std::string_view::npos ? std::string_view() : line.substr(0, end);
}

void parse_tsv_row(std::string_view line, const RowRules& rules, Sample& sample) {
  sample.id = tsv_row_id(line);
  line = without_line_end(line, rules);
  std::array<std::string_view, kColumns> columns;
  const size_t count = split_columns(line, columns);
  if (count != kColumns && !(rules.titles_elsewhere && count == kColumns - 1)) {
    refuse_row("has " + std::to_string(count) + " column" + (count == 1 ? "" : "s"),
               "7, with tabs between them: image_id, image_w, image_h, num_boxes, boxes, features, title");
  }
  sample.views.resize(1);
  Regions& regions = sample.views.front();
  regions.image_width = parse_number(columns[1], "image width");
  regions.image_height = parse_number(columns[2], "image height");
  const int64_t boxes = parse_number(columns[3], "number of boxes");
  check_region_count(rules, boxes);

  const uint64_t box_numbers = float_count(columns[4], "boxes");
  if (box_numbers != static_cast<uint64_t>(boxes) * 4) {
    refuse_row("has " + std::to_string(box_numbers) + " box numbers for " + std::to_string(boxes) + " boxes",
               std::to_string(boxes * 4) + ", 4 a box");
  }
  const uint64_t feature_numbers = float_count(columns[5], "features");
  checked_feature_width(rules, feature_numbers, boxes);
  decode(columns[4], "boxes", box_numbers, regions.boxes);
  decode(columns[5], "features", feature_numbers, regions.features);

  sample.titles.resize(1);
  sample.titles.front() = columns[6];
  if (!rules.titles_elsewhere) check_title(columns[6]);
}

}  // namespace capture
