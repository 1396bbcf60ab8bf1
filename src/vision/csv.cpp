#include "csv.h"

#include <algorithm>

namespace capture {

namespace {

/// No title is this long: what is, is a quote that somebody forgot to close.
constexpr size_t kLongestField = size_t{1} << 20;

}  // namespace

bool CsvReader::at_line_end() const {
  return at_ == text_.size() || text_[at_] == '\n' || text_.substr(at_, 2) == "\r\n";
}

void CsvReader::pass_line_end() {
  if (at_ == text_.size()) return;
  at_ += text_[at_] == '\r' ? 2 : 1;
  ++line_;
}

void CsvReader::skip_line_from(size_t start, int64_t line) {
  const size_t end = text_.find('\n', start);
  at_ = end == std::string_view::npos ? text_.size() : end + 1;
  line_ = line + 1;
}

std::string CsvReader::read_quoted(CsvRow& row) {
  std::string field;
  for (++at_; at_ < text_.size() && field.size() <= kLongestField; ++at_) {
    const char c = text_[at_];
    if (c == '\n') ++line_;
    if (c != '"') {
      field += c;
    } else if (text_.substr(at_, 2) == "\"\"") {
      field += '"';
      ++at_;
    } else {
      ++at_;
      if (!at_line_end() && text_[at_] != ',') row.problem = "a closing quote is followed by more text";
      return field;
    }
  }
  row.problem = "a quote is opened and never closed";
  return field;
}

std::string CsvReader::read_plain() {
  const size_t start = at_;
  while (!at_line_end() && text_[at_] != ',') ++at_;
  return std::string(text_.substr(start, at_ - start));
}

std::optional<CsvRow> CsvReader::next() {
  while (at_ < text_.size() && at_line_end()) pass_line_end();
  if (at_ == text_.size()) return std::nullopt;
  CsvRow row{.line = line_, .fields = {}, .problem = {}};
  const size_t start = at_;
  for (;;) {
    row.fields.push_back(at_ < text_.size() && text_[at_] == '"' ? read_quoted(row) : read_plain());
    if (!row.problem.empty()) {
      skip_line_from(start, row.line);
      return row;
    }
    if (at_line_end()) break;
    ++at_;  // the comma
  }
  pass_line_end();
  return row;
}

}  // namespace capture
