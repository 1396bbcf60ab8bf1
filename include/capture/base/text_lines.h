// Text files line by line, exactly as the published evaluation script sees them, so that its figures can be reproduced
// from files that are a little odd.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "capture/base/files.h"

namespace capture {

/// A text cut into parts that hold whole lines, for threads to share. A part is cut when it is asked for.
class LineParts {
 public:
  /// Parts of about `bytes` bytes (at least 1), never less but for the last.
  LineParts(std::string_view text, size_t bytes);
  ~LineParts();

  /// Parts from this one on are empty; some before it may be empty too.
  size_t end() const { return end_; }
  /// May be called from many threads at once.
  std::string_view operator[](size_t part);

 private:
  struct Cuts;
  std::unique_ptr<Cuts> cuts_;
  size_t end_;
};

/// A UTF-8 text file, mapped. Lines end with \n, \r\n or \r; the last one needs no end, and nothing stands behind a
/// final end. A byte-order mark is part of the first line.
class TextLines {
 public:
  /// UserError when the file cannot be read or holds nothing.
  explicit TextLines(std::filesystem::path path);

  /// Calls `visit` with each line's number (from 1) and its text without surrounding white space (see strip). The text
  /// lives as long as this object. UserError, naming the line, on bytes that are not UTF-8.
  void for_each(const std::function<void(int64_t line, std::string_view text)>& visit) const;

  /// See LineParts.
  LineParts parts(size_t bytes) const { return {this->bytes(), bytes}; }

  /// for_each over one of the parts, in which lines are numbered from 1; in errors they are numbered from the file's
  /// start.
  void for_each_in(std::string_view part, const std::function<void(int64_t line, std::string_view text)>& visit) const;

  /// How many lines there are before one of the parts. Counts them.
  int64_t lines_before(std::string_view part) const;

  /// Tells the kernel that a part was read.
  void release(std::string_view part) const { file_.release(std::as_bytes(std::span(part))); }

  const std::filesystem::path& path() const { return path_; }
  std::string_view bytes() const;

 private:
  void check(std::string_view text, std::string_view part, int64_t line) const;

  std::filesystem::path path_;
  MappedFile file_;
};

/// The text without white space at its ends: every code point that Unicode calls white space (the ideographic space of
/// Chinese titles too), and the separators U+001C to U+001F, as Python's str.strip has it.
std::string_view strip(std::string_view text);

/// The position of the first byte that does not continue a valid UTF-8 text, or npos.
size_t find_invalid_utf8(std::string_view text);

/// Whether all of the text is UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF).
inline bool is_utf8(std::string_view text) {
  return find_invalid_utf8(text) == std::string_view::npos;
}

/// Calls `visit` with every part between the separators, empty ones included; a text without one is a single part.
template <class Visit>
void split(std::string_view text, std::string_view separator, Visit visit) {
  for (;;) {
    const size_t end = text.find(separator);
    visit(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + separator.size());
  }
}

/// "file:line", for messages.
std::string file_and_line(const std::filesystem::path& file, int64_t line);

}  // namespace capture
