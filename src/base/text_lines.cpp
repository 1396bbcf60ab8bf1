#include "capture/base/text_lines.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "capture/base/error.h"

namespace capture {

namespace {

/// A code point and how many bytes it takes; zero bytes when they are not valid UTF-8.
struct Decoded {
  uint32_t code_point = 0;
  size_t bytes = 0;
};

Decoded decode(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[i])); };
  const auto continues = [&](size_t i) { return i < text.size() && (at(i) & 0xC0) == 0x80; };
  const uint32_t first = at(0);
  if (first < 0x80) return {first, 1};
  if (first >= 0xC2 && first < 0xE0 && continues(1)) return {(first & 0x1F) << 6 | (at(1) & 0x3F), 2};
  if ((first & 0xF0) == 0xE0 && continues(1) && continues(2)) {
    const uint32_t code = (first & 0x0F) << 12 | (at(1) & 0x3F) << 6 | (at(2) & 0x3F);
    if (code >= 0x800 && (code < 0xD800 || code > 0xDFFF)) return {code, 3};
  }
  if ((first & 0xF8) == 0xF0 && continues(1) && continues(2) && continues(3)) {
    const uint32_t code = (first & 0x07) << 18 | (at(1) & 0x3F) << 12 | (at(2) & 0x3F) << 6 | (at(3) & 0x3F);
    if (code >= 0x10000 && code <= 0x10FFFF) return {code, 4};
  }
  return {};
}

bool is_space(uint32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

/// The bytes of the last code point.
size_t last_length(std::string_view text) {
  size_t bytes = 1;
  while (bytes < text.size() && bytes < 4 && (static_cast<unsigned char>(text[text.size() - bytes]) & 0xC0) == 0x80) {
    ++bytes;
  }
  return bytes;
}

/// Where lines end. Looks for the next end of each kind once, so that a text without one kind is searched for it once.
class LineEnds {
 public:
  explicit LineEnds(std::string_view text) : text_(text) {}

  struct End {
    size_t end;        ///< of the line that holds or follows a place
    size_t next_line;  ///< where the next one begins
  };

  /// `from` may not go back.
  End next(size_t from) {
    if (newline_ < from || !searched_) newline_ = find('\n', from);
    if (return_ < from || !searched_) return_ = find('\r', from);
    searched_ = true;
    const size_t end = std::min(newline_, return_);
    return {end, std::min(text_.size(), newline_ == return_ + 1 ? end + 2 : end + 1)};
  }

 private:
  size_t find(char c, size_t from) const { return std::min(text_.find(c, from), text_.size()); }

  std::string_view text_;
  size_t newline_ = 0;
  size_t return_ = 0;
  bool searched_ = false;
};

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    uint64_t eight = 0;
    if (text.size() - i >= sizeof eight) {
      std::memcpy(&eight, text.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    const size_t bytes = decode(text.substr(i)).bytes;
    if (bytes == 0) return i;
    i += bytes;
  }
  return std::string_view::npos;
}

std::string_view strip(std::string_view text) {
  while (!text.empty()) {
    const auto [code, bytes] = decode(text);
    if (bytes == 0 || !is_space(code)) break;
    text.remove_prefix(bytes);
  }
  while (!text.empty()) {
    const size_t length = last_length(text);
    const auto [code, bytes] = decode(text.substr(text.size() - length));
    if (bytes != length || !is_space(code)) break;
    text.remove_suffix(length);
  }
  return text;
}

std::string file_and_line(const std::filesystem::path& file, int64_t line) {
  return file.string() + ":" + std::to_string(line);
}

TextLines::TextLines(std::filesystem::path path) : path_(std::move(path)), file_(path_) {
  if (file_.size() == 0) {
    throw UserError({.what = "the file is empty", .where = path_.string(), .allowed = "at least one line"});
  }
}

std::string_view TextLines::bytes() const {
  return {reinterpret_cast<const char*>(file_.bytes().data()), file_.size()};
}

void TextLines::for_each(const std::function<void(int64_t, std::string_view)>& visit) const {
  for_each_in(bytes(), visit);
}

std::vector<std::string_view> TextLines::parts(size_t bytes) const {
  std::vector<std::string_view> parts;
  for (std::string_view rest = this->bytes(); !rest.empty();) {
    LineEnds ends(rest);
    const size_t end = bytes < rest.size() ? ends.next(bytes).next_line : rest.size();
    parts.push_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  return parts;
}

void TextLines::for_each_in(std::string_view part, const std::function<void(int64_t, std::string_view)>& visit) const {
  LineEnds ends(part);
  size_t begin = 0;
  for (int64_t line = 1; begin < part.size(); ++line) {
    const auto [end, next_line] = ends.next(begin);
    const std::string_view text = part.substr(begin, end - begin);
    if (const size_t bad = find_invalid_utf8(text); bad != std::string_view::npos) {
      throw UserError({.what = "byte " + std::to_string(bad + 1) + " of the line is not UTF-8",
                       .where = file_and_line(path_, line + lines_before(part)),
                       .hint = "convert the file, for example with iconv -f GB18030 -t UTF-8"});
    }
    visit(line, strip(text));
    begin = next_line;
  }
}

int64_t TextLines::lines_before(std::string_view part) const {
  const std::string_view before = bytes().substr(0, static_cast<size_t>(part.data() - bytes().data()));
  LineEnds ends(before);
  int64_t count = 0;
  for (size_t begin = 0; begin < before.size(); ++count) begin = ends.next(begin).next_line;
  return count;
}

}  // namespace capture
