#include "half.h"

#include <bit>
#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace capture {

namespace {

// The bits of a float16 are sign, 5 of exponent (bias 15) and 10 of fraction; of a float32 sign, 8 (127) and 23.
constexpr uint32_t kRebias = (127 - 15) << 23;
constexpr uint32_t kFloatInfinity = 0xFFU << 23;

float to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t rest = half & 0x7FFFU;
  if (rest >= 0x7C00) return std::bit_cast<float>(sign | kFloatInfinity | (rest & 0x3FFU) << 13);
  if (rest >= 0x0400) return std::bit_cast<float>(sign | ((rest << 13) + kRebias));
  const float subnormal = std::ldexp(static_cast<float>(rest), -24);
  return sign != 0 ? -subnormal : subnormal;
}

uint16_t to_half(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000U);
  const uint32_t rest = bits & 0x7FFFFFFFU;
  constexpr uint32_t kSmallestNormal = (127 - 14) << 23;
  constexpr uint32_t kTooLarge = (127 + 16) << 23;
  uint32_t half = 0;
  if (rest > kFloatInfinity) {
    half = 0x7E00;
  } else if (rest >= kTooLarge) {
    half = 0x7C00;
  } else if (rest < kSmallestNormal) {
    half = static_cast<uint32_t>(std::nearbyint(std::ldexp(std::abs(value), 24)));
  } else {
    // Half of the last place kept, less one unless that place is odd: ties go to even. A carry raises the exponent.
    half = (rest + 0xFFF + (rest >> 13 & 1U) - kRebias) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

void plain_half_to_float(const uint16_t* in, float* out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = to_float(in[i]);
}

void plain_half_to_float_and_add(const uint16_t* in, float* out, float* sum, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    out[i] = to_float(in[i]);
    sum[i] += out[i];
  }
}

void plain_float_to_half(const float* in, uint16_t* out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = to_half(in[i]);
}

/// Numbers whose exponent is all ones are not finite. Without a branch, so that the compiler looks at many at once;
/// inline, so that it does so with what its caller is compiled for.
template <class Bits, class Value>
[[gnu::always_inline]] inline bool none_has_exponent(Bits exponent, const Value* values, size_t count) {
  Bits any = 0;
  for (size_t i = 0; i < count; ++i) {
    any |= static_cast<Bits>((std::bit_cast<Bits>(values[i]) & exponent) == exponent);
  }
  return any == 0;
}

bool plain_all_finite(const uint16_t* halves, size_t count) {
  return none_has_exponent<uint16_t>(0x7C00, halves, count);
}

#if defined(__x86_64__)

// The build targets any x86-64; these functions alone are compiled for more, and run only where the processor has it.
// Whatever has AVX2 has F16C, for which clang 14 knows no name.
const bool kHasAvx2 = __builtin_cpu_supports("avx2");

__attribute__((target("avx,f16c"))) void fast_half_to_float(const uint16_t* in, float* out, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  }
  plain_half_to_float(in + i, out + i, count - i);
}

__attribute__((target("avx,f16c"))) void fast_half_to_float_and_add(const uint16_t* in, float* out, float* sum,
                                                                    size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 value = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i)));
    _mm256_storeu_ps(out + i, value);
    _mm256_storeu_ps(sum + i, _mm256_add_ps(_mm256_loadu_ps(sum + i), value));
  }
  plain_half_to_float_and_add(in + i, out + i, sum + i, count - i);
}

__attribute__((target("avx,f16c"))) void fast_float_to_half(const float* in, uint16_t* out, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i value = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), value);
  }
  plain_float_to_half(in + i, out + i, count - i);
}

__attribute__((target("avx2"))) bool fast_all_finite(const uint16_t* halves, size_t count) {
  return none_has_exponent<uint16_t>(0x7C00, halves, count);
}

#else

constexpr bool kHasAvx2 = false;
constexpr auto fast_half_to_float = plain_half_to_float;
constexpr auto fast_half_to_float_and_add = plain_half_to_float_and_add;
constexpr auto fast_float_to_half = plain_float_to_half;
constexpr auto fast_all_finite = plain_all_finite;

#endif

}  // namespace

bool all_finite(const uint16_t* halves, size_t count) {
  return (kHasAvx2 ? fast_all_finite : plain_all_finite)(halves, count);
}

bool all_finite(const float* values, size_t count) {
  return none_has_exponent<uint32_t>(kFloatInfinity, values, count);
}

void half_to_float(const uint16_t* in, float* out, size_t count) {
  (kHasAvx2 ? fast_half_to_float : plain_half_to_float)(in, out, count);
}

void half_to_float_and_add(const uint16_t* in, float* out, float* sum, size_t count) {
  (kHasAvx2 ? fast_half_to_float_and_add : plain_half_to_float_and_add)(in, out, sum, count);
}

void float_to_half(const float* in, uint16_t* out, size_t count) {
  (kHasAvx2 ? fast_float_to_half : plain_float_to_half)(in, out, count);
}

}  // namespace capture
