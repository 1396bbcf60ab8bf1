// Sequences of strings as a shard stores them: (uint32 length, bytes), one behind the other.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace capture {

/// Walks (length, bytes) pairs; false when they do not end where the text ends.
template <class Each>
bool walk_strings(std::string_view packed, const Each& each) {
  while (!packed.empty()) {
    if (packed.size() < sizeof(uint32_t)) return false;
    uint32_t length = 0;
    std::memcpy(&length, packed.data(), sizeof length);
    packed.remove_prefix(sizeof(uint32_t));
    if (length > packed.size()) return false;
    each(packed.substr(0, length));
    packed.remove_prefix(length);
  }
  return true;
}

/// String number `index` of a sequence that walk_strings accepts; empty when there are fewer.
inline std::string_view nth_string(std::string_view packed, int64_t index) {
  std::string_view found;
  walk_strings(packed, [&](std::string_view text) {
    if (index-- == 0) found = text;
  });
  return found;
}

}  // namespace capture
