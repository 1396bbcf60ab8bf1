// CSV as RFC 4180 has it, row by row.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace capture {

struct CsvRow {
  int64_t line = 0;  ///< where it starts, from 1
  std::vector<std::string> fields;
  std::string problem;  ///< why the fields cannot be trusted; empty when they can
};

/// Blank lines are skipped. After a quote that is never closed, or closed before more text, reading goes on at the line
/// after the row's first.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {}
  std::optional<CsvRow> next();

 private:
  std::string read_quoted(CsvRow& row);
  std::string read_plain();
  void skip_line_from(size_t start, int64_t line);
  bool at_line_end() const;
  void pass_line_end();

  std::string_view text_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace capture
