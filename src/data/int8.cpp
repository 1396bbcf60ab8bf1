#include "int8.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace capture {

namespace {

// Plain loops that the compiler makes vectors of. Each is compiled twice, for any x86-64 and for AVX2; neither has a
// fused multiply-add, so that both round alike.

[[gnu::always_inline]] inline void plain_int8_to_float(const int8_t* in, float scale, float* out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(in[i]) * scale;
}

[[gnu::always_inline]] inline void plain_int8_to_float_and_add(const int8_t* in, float scale, float* out, float* sum,
                                                               size_t count) {
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>(in[i]) * scale;
    sum[i] += out[i];
  }
}

#if defined(__x86_64__)

const bool kHasAvx2 = __builtin_cpu_supports("avx2");

__attribute__((target("avx2"))) void fast_int8_to_float(const int8_t* in, float scale, float* out, size_t count) {
  plain_int8_to_float(in, scale, out, count);
}

__attribute__((target("avx2"))) void fast_int8_to_float_and_add(const int8_t* in, float scale, float* out, float* sum,
                                                                size_t count) {
  plain_int8_to_float_and_add(in, scale, out, sum, count);
}

#else

constexpr bool kHasAvx2 = false;
constexpr auto fast_int8_to_float = plain_int8_to_float;
constexpr auto fast_int8_to_float_and_add = plain_int8_to_float_and_add;

#endif

}  // namespace

float quantise(const float* in, int8_t* out, size_t count) {
  float largest = 0;
  bool finite = true;
  for (size_t i = 0; i < count; ++i) {
    const float magnitude = std::abs(in[i]);
    finite = finite && magnitude <= std::numeric_limits<float>::max();
    largest = std::max(largest, magnitude);
  }
  const float scale = largest / 127.0F;
  if (!finite || scale == 0) {
    std::fill_n(out, count, int8_t{0});
    return finite ? 0.0F : std::numeric_limits<float>::quiet_NaN();
  }
  // A scale among the smallest numbers there are is itself rounded, which can bring a quotient past 127.
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<int8_t>(std::clamp(std::nearbyint(in[i] / scale), -127.0F, 127.0F));
  }
  return scale;
}

void int8_to_float(const int8_t* in, float scale, float* out, size_t count) {
  if (kHasAvx2) {
    fast_int8_to_float(in, scale, out, count);
  } else {
    plain_int8_to_float(in, scale, out, count);
  }
}

void int8_to_float_and_add(const int8_t* in, float scale, float* out, float* sum, size_t count) {
  if (kHasAvx2) {
    fast_int8_to_float_and_add(in, scale, out, sum, count);
  } else {
    plain_int8_to_float_and_add(in, scale, out, sum, count);
  }
}

}  // namespace capture
