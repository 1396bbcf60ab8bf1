#include "capture/report/html.h"

#include <charconv>
#include <cmath>
#include <cstdint>

namespace capture {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// Bytes of the well-formed UTF-8 sequence that starts the text (Unicode 15, table 3-7), or 0 when there is none.
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; };
  const uint8_t first = static_cast<uint8_t>(byte(0));
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                        : (first & 0xF0) == 0xE0         ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const auto second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second > 0x9F;
  const bool too_high = first == 0xF4 && second > 0x8F;
  return overlong || surrogate || too_high ? 0 : length;
}

/// C0 and C1 controls: HTML forbids most of them, and none belongs in a title.
bool is_control(std::string_view sequence) {
  const auto first = static_cast<uint8_t>(sequence[0]);
  if (sequence.size() == 1) return (first < 0x20 && first != '\t' && first != '\n') || first == 0x7F;
  return sequence.size() == 2 && first == 0xC2 && static_cast<uint8_t>(sequence[1]) < 0xA0;
}

}  // namespace

std::string clean_utf8(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    const std::string_view sequence = text.substr(0, length);
    clean += length == 0 || is_control(sequence) ? kReplacement : sequence;
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return clean;
}

std::string escape_html(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : clean_utf8(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string fixed(double value, int decimals) {
  if (!std::isfinite(value)) return "–";
  char buffer[400];  // the longest double in fixed notation has 309 digits before the point
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, decimals);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const bool is_zero = text.find_first_not_of("-0.") == std::string_view::npos;
  return std::string(is_zero && text.starts_with('-') ? text.substr(1) : text);
}

std::string grouped(size_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += "\xE2\x80\xAF";  // U+202F, narrow no-break space
    text += digits[i];
  }
  return text;
}

HtmlWriter::Scope::~Scope() {
  writer_.out_ += "</" + tag_ + ">";
}

void HtmlWriter::start(std::string_view tag, Attributes attributes) {
  out_ += '<';
  out_ += tag;
  for (const auto& [name, value] : attributes) {
    if (value.empty() && name != "alt") continue;
    out_ += ' ';
    out_ += name;
    out_ += "=\"";
    out_ += escape_html(value);
    out_ += '"';
  }
  out_ += '>';
}

HtmlWriter::Scope HtmlWriter::open(std::string_view tag, Attributes attributes) {
  start(tag, attributes);
  return {*this, tag};
}

void HtmlWriter::element(std::string_view tag, Attributes attributes, std::string_view text) {
  const Scope scope = open(tag, attributes);
  out_ += escape_html(text);
}

void HtmlWriter::empty(std::string_view tag, Attributes attributes) {
  start(tag, attributes);
}

void HtmlWriter::text(std::string_view text) {
  out_ += escape_html(text);
}

}  // namespace capture
