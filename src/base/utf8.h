// Code points of UTF-8 text, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace capture {

/// A code point and how many bytes it takes; zero bytes when they are not valid UTF-8.
struct DecodedUtf8 {
  uint32_t code_point = 0;
  size_t bytes = 0;
};

/// The first code point of a text that is not empty.
DecodedUtf8 decode_utf8(std::string_view text);

}  // namespace capture
