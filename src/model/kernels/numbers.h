// What the kernels' headers need to speak of numbers.
#pragma once

#include <cstdint>

namespace capture::kernels {

/// Kernels work on this many float32 at a time.
inline constexpr int64_t kLanes = 16;

/// The bits of a bfloat16: the upper half of a float32.
struct BFloat16Bits {
  uint16_t bits;
};

constexpr int64_t rounded_up(int64_t count, int64_t unit = kLanes) {
  return (count + unit - 1) / unit * unit;
}

}  // namespace capture::kernels
