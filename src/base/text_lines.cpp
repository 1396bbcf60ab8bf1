#include "capture/base/text_lines.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "capture/base/error.h"
#include "utf8.h"

namespace capture {

namespace {

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

/// Where lines end. However many of them there are, no byte is looked at more than a few times: not in a text without
/// one of the kinds of ends either.
class LineEnds {
 public:
  explicit LineEnds(std::string_view text) : text_(text) {}

  struct End {
    size_t end;        ///< of the line that holds or follows a place
    size_t next_line;  ///< where the next one begins
  };

  /// `from` may not go back.
  End next(size_t from) {
    if (newline_ < from || !searched_) newline_ = std::min(text_.find('\n', from), text_.size());
    searched_ = true;
    const size_t end = std::min(text_.substr(0, newline_).find('\r', from), newline_);
    return {end, std::min(text_.size(), newline_ == end + 1 ? end + 2 : end + 1)};
  }

 private:
  std::string_view text_;
  size_t newline_ = 0;
  bool searched_ = false;
};

}  // namespace

std::string_view strip(std::string_view text) {
  while (!text.empty()) {
    const auto [code, bytes] = decode_utf8(text);
    if (bytes == 0 || !is_space(code)) break;
    text.remove_prefix(bytes);
  }
  while (!text.empty()) {
    const size_t length = last_length(text);
    const auto [code, bytes] = decode_utf8(text.substr(text.size() - length));
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

struct LineParts::Cuts {
  Cuts(std::string_view whole, size_t part_bytes) : text(whole), bytes(part_bytes), ends(whole) {}

  std::string_view text;
  size_t bytes;
  LineEnds ends;
  std::mutex mutex;
  std::vector<size_t> places = {0};  // so far
};

LineParts::LineParts(std::string_view text, size_t bytes)
    : cuts_(std::make_unique<Cuts>(text, bytes)), end_(text.size() / bytes + 1) {}

LineParts::~LineParts() = default;

std::string_view LineParts::operator[](size_t part) {
  const std::lock_guard lock(cuts_->mutex);
  const std::string_view text = cuts_->text;
  std::vector<size_t>& places = cuts_->places;
  while (places.size() < part + 2) {
    const size_t begin = places.back();
    const bool last = text.size() - begin <= cuts_->bytes;
    places.push_back(last ? text.size() : cuts_->ends.next(begin + cuts_->bytes).next_line);
  }
  return text.substr(places[part], places[part + 1] - places[part]);
}

void TextLines::for_each_in(std::string_view part, const std::function<void(int64_t, std::string_view)>& visit) const {
  // Checking many lines at once is quicker; which of them is at fault matters only where one is.
  const bool sound = is_utf8(part);
  LineEnds ends(part);
  size_t begin = 0;
  for (int64_t line = 1; begin < part.size(); ++line) {
    const auto [end, next_line] = ends.next(begin);
    const std::string_view text = part.substr(begin, end - begin);
    if (!sound) check(text, part, line);
    visit(line, strip(text));
    begin = next_line;
  }
}

void TextLines::check(std::string_view text, std::string_view part, int64_t line) const {
  const size_t bad = find_invalid_utf8(text);
  if (bad == std::string_view::npos) return;
  throw UserError({.what = "byte " + std::to_string(bad + 1) + " of the line is not UTF-8",
                   .where = file_and_line(path_, line + lines_before(part)),
                   .hint = "convert the file, for example with iconv -f GB18030 -t UTF-8"});
}

int64_t TextLines::lines_before(std::string_view part) const {
  const std::string_view before = bytes().substr(0, static_cast<size_t>(part.data() - bytes().data()));
  LineEnds ends(before);
  int64_t count = 0;
  for (size_t begin = 0; begin < before.size(); ++count) begin = ends.next(begin).next_line;
  return count;
}

}  // namespace capture
