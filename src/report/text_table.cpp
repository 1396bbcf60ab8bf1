#include "capture/report/text_table.h"

#include <algorithm>
#include <cmath>

#include "capture/report/html.h"

namespace capture {

namespace {

size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, size_t to, bool right) {
  const std::string space(to - std::min(to, width(text)), ' ');
  return right ? space + text : text + space;
}

}  // namespace

std::string text_table(const ReportTable& table) {
  std::vector<std::vector<std::string>> cells(table.rows.size() + 1);
  cells[0].push_back(table.row_heading);
  for (size_t r = 0; r < table.rows.size(); ++r) cells[r + 1].push_back(clean_utf8(table.rows[r].name));
  for (size_t column = 0; column < table.columns.size(); ++column) {
    const double best = best_value(table, column);
    cells[0].push_back(table.columns[column] + " ");
    for (size_t r = 0; r < table.rows.size(); ++r) {
      const double value = value_at(table.rows[r], column);
      const std::string number = std::isfinite(value) ? fixed(100 * value, 1) : "-";
      cells[r + 1].push_back(number + (value == best ? "*" : " "));
    }
  }
  std::vector<size_t> widths(table.columns.size() + 1);
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text = table.title.empty() ? "" : clean_utf8(table.title) + "\n";
  for (const auto& row : cells) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += (i == 0 ? "" : "  ") + padded(row[i], widths[i], i > 0);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace capture
