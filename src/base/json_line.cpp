#include "capture/base/json_line.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "capture/base/json.h"
#include "capture/base/text_lines.h"

namespace capture {

namespace {

template <class Number>
void append_number(std::string& text, Number number) {
  char digits[32];
  text.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

bool stands_as_it_is(std::string_view value) {
  const auto special = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' || c == 0x7F;
  };
  return std::ranges::none_of(value, special) && is_utf8(value);
}

}  // namespace

void JsonLine::add(std::string_view key, double value) {
  start(key);
  if (!std::isfinite(value)) {
    text_ += "null";
  } else if (value == 0.0 || value == 1.0) {  // half of all figures
    text_ += std::signbit(value) ? "-0.0" : value == 0.0 ? "0.0" : "1.0";
  } else {
    const size_t begin = text_.size();
    append_number(text_, value);
    // Without one of these it would read as a whole number.
    if (std::string_view(text_).substr(begin).find_first_of(".e") == std::string_view::npos) text_ += ".0";
  }
}

void JsonLine::add(std::string_view key, int64_t value) {
  start(key);
  append_number(text_, value);
}

void JsonLine::add(std::string_view key, std::string_view value) {
  start(key);
  append(value);
}

void JsonLine::open_object(std::string_view key) {
  start(key);
  text_ += '{';
}

void JsonLine::open_array(std::string_view key) {
  start(key);
  text_ += '[';
}

void JsonLine::add_element(std::string_view value) {
  separate();
  append(value);
}

void JsonLine::separate() {
  if (text_.back() != '{' && text_.back() != '[') text_ += ',';
}

void JsonLine::start(std::string_view key) {
  separate();
  append(key);
  text_ += ':';
}

void JsonLine::append(std::string_view value) {
  if (!stands_as_it_is(value)) {
    text_ += to_line(Json(std::string(value)));
    return;
  }
  text_ += '"';
  text_ += value;
  text_ += '"';
}

void JsonLine::close(char bracket) {
  text_ += bracket;
}

}  // namespace capture
