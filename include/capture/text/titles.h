// Titles out of files: plain text, JSON lines, or the lists that Product1M is published with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace capture {

/// Lines of a file or a pipe, in bounded memory. A last line without its newline counts; "\n" alone ends lines.
class LineReader {
 public:
  static constexpr size_t kMaxLineBytes = size_t{64} << 20;

  /// UserError when it cannot be opened.
  explicit LineReader(const std::filesystem::path& path);
  /// Reads an open descriptor, which stays open; `name` is what messages call it.
  LineReader(int descriptor, std::string name);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// The next line, valid until the next call; false at the end. UserError on a read error or a line longer than
  /// kMaxLineBytes.
  bool next(std::string_view& line);

  /// Whether next() can answer without waiting for input: false is the time to flush what has been answered so far.
  bool ready() const { return newline_ != std::string::npos || ended_; }

  /// "titles.txt:12" for the line that next() gave last.
  std::string where() const { return name_ + ":" + std::to_string(line_); }

 private:
  void fill();

  std::string name_;
  int descriptor_;
  bool owned_;
  std::string buffer_;
  size_t start_ = 0;                    // where the next line begins
  size_t newline_ = std::string::npos;  // where it ends, when that has been read
  bool ended_ = false;
  uint64_t line_ = 0;
};

/// Titles of a file, one after another. The format is told from the file itself:
/// - "*.jsonl": each line a JSON object whose "title" is the title; blank lines are passed over;
/// - a first line with "#####" in it: a Product1M list, the title its second field;
/// - otherwise every line is a title, an empty one too. A Windows line end is no part of the title.
class TitleReader {
 public:
  explicit TitleReader(const std::filesystem::path& path);

  /// The next title; false at the end. UserError, with file and line, on a line that is not of the file's format.
  bool next(std::string& title);

 private:
  enum class Format { unknown, text, json_lines, list };

  void read_json_line(std::string_view line, std::string& title) const;
  void read_list_line(std::string_view line, std::string& title) const;

  LineReader lines_;
  Format format_;
};

}  // namespace capture
