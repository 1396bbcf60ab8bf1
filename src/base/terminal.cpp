#include "capture/base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <clocale>
#include <cwchar>

#include "capture/base/text_lines.h"

namespace capture {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kEllipsis = "…";

/// A code point and how many bytes it took. Invalid bytes are taken one by one, as U+FFFD.
struct CodePoint {
  char32_t value;
  size_t bytes;
};

CodePoint first_of(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return {byte(0), 1};
  const size_t length = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (!is_utf8(text.substr(0, length))) return {U'\uFFFD', 1};
  char32_t value = byte(0) & (0x7FU >> length);
  for (size_t i = 1; i < length; ++i) value = value << 6 | (byte(i) & 0x3FU);
  return {value, length};
}

bool is_control(char32_t c) {
  // The last two part lines and paragraphs.
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029;
}

/// The C library knows the width of every character, in a UTF-8 locale; the process may run in another.
class WidthTable {
 public:
  WidthTable() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_ != nullptr) before_ = ::uselocale(locale_);
  }
  ~WidthTable() {
    if (locale_ == nullptr) return;
    ::uselocale(before_);
    ::freelocale(locale_);
  }
  WidthTable(const WidthTable&) = delete;
  WidthTable& operator=(const WidthTable&) = delete;

  int64_t operator()(char32_t c) const {
    if (c < 0x7F) return 1;
    const int width = ::wcwidth(static_cast<wchar_t>(c));
    return width < 0 ? 1 : width;
  }

 private:
  locale_t locale_;
  locale_t before_ = nullptr;
};

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = first_of(text);
    if (is_control(c.value)) {
      line += ' ';
    } else if (c.value == U'\uFFFD') {
      line += kReplacement;
    } else {
      line += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  return line;
}

int64_t display_width(std::string_view text) {
  const WidthTable width_of;
  int64_t width = 0;
  while (!text.empty()) {
    const CodePoint c = first_of(text);
    width += width_of(c.value);
    text.remove_prefix(c.bytes);
  }
  return width;
}

std::string fitted(std::string_view text, int64_t width) {
  const int64_t whole = display_width(text);
  if (whole <= width) return std::string(text) + std::string(static_cast<size_t>(width - whole), ' ');
  const WidthTable width_of;
  std::string kept;
  int64_t taken = 1;  // the ellipsis
  while (!text.empty()) {
    const CodePoint c = first_of(text);
    if (taken + width_of(c.value) > width) break;
    taken += width_of(c.value);
    kept += text.substr(0, c.bytes);
    text.remove_prefix(c.bytes);
  }
  return kept + std::string(kEllipsis) + std::string(static_cast<size_t>(width - taken), ' ');
}

std::string_view line_start() {
  return ::isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "";
}

int64_t terminal_columns(int descriptor) {
  winsize size{};
  if (::isatty(descriptor) != 1) return 0;
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace capture
