#include "half.h"

#include <c10/util/Half.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace capture {

namespace {

void plain_half_to_float(const uint16_t* in, float* out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = c10::detail::fp16_ieee_to_fp32_value(in[i]);
}

void plain_half_to_float_and_add(const uint16_t* in, float* out, float* sum, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    out[i] = c10::detail::fp16_ieee_to_fp32_value(in[i]);
    sum[i] += out[i];
  }
}

void plain_float_to_half(const float* in, uint16_t* out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = c10::detail::fp16_ieee_from_fp32_value(in[i]);
}

#if defined(__x86_64__)

// The build targets any x86-64; these functions alone are compiled for more, and run only where the processor has it.
const bool kHasF16c = __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c");

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

#else

constexpr bool kHasF16c = false;
constexpr auto fast_half_to_float = plain_half_to_float;
constexpr auto fast_half_to_float_and_add = plain_half_to_float_and_add;
constexpr auto fast_float_to_half = plain_float_to_half;

#endif

}  // namespace

void half_to_float(const uint16_t* in, float* out, size_t count) {
  (kHasF16c ? fast_half_to_float : plain_half_to_float)(in, out, count);
}

void half_to_float_and_add(const uint16_t* in, float* out, float* sum, size_t count) {
  (kHasF16c ? fast_half_to_float_and_add : plain_half_to_float_and_add)(in, out, sum, count);
}

void float_to_half(const float* in, uint16_t* out, size_t count) {
  (kHasF16c ? fast_float_to_half : plain_float_to_half)(in, out, count);
}

}  // namespace capture
