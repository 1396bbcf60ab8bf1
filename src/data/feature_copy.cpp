#include "feature_copy.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace capture {

#if defined(__x86_64__)

namespace {

// The build targets any x86-64; this function alone is compiled for more, and runs only where the processor has it.
const bool kHasF16c = __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c");

/// The hardware does not fetch past the end of a 4 KB page, which is one feature of 2048 numbers: this far ahead, the
/// next feature is on its way before this one is done.
constexpr int64_t kAheadBytes = 1024;

/// `out` aligned to 32 bytes, `count` a multiple of 32.
__attribute__((target("avx,f16c"))) void widen_and_add_past_caches(const uint16_t* in, float* out, float* sum,
                                                                   int64_t count) {
  for (int64_t start = 0; start < count; start += 32) {
    _mm_prefetch(reinterpret_cast<const char*>(in + start) + kAheadBytes, _MM_HINT_T0);
    for (int64_t i = start; i < start + 32; i += 8) {
      const __m256 value = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i)));
      _mm256_stream_ps(out + i, value);
      _mm256_storeu_ps(sum + i, _mm256_add_ps(_mm256_loadu_ps(sum + i), value));
    }
  }
}

}  // namespace

void copy_and_add(const RegionsView& view, int64_t region, float* out, float* sum, bool past_caches) {
  const bool fits = view.feature_width % 32 == 0 && reinterpret_cast<uintptr_t>(out) % 32 == 0;
  if (!past_caches || !fits || !kHasF16c || view.feature_type != FeatureType::float16) {
    view.copy_feature_and_add(region, out, sum);
    return;
  }
  const auto* in = reinterpret_cast<const uint16_t*>(view.features.data()) + region * view.feature_width;
  widen_and_add_past_caches(in, out, sum, view.feature_width);
}

void finish_copies() {
  _mm_sfence();
}

#else

void copy_and_add(const RegionsView& view, int64_t region, float* out, float* sum, bool) {
  view.copy_feature_and_add(region, out, sum);
}

void finish_copies() {}

#endif

}  // namespace capture
