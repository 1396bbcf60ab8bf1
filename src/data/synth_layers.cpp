#include "synth_layers.h"

#include <algorithm>
#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace capture::synth {

namespace {

void plain_add(std::span<const Layer> layers, bool positive, std::span<float> out, size_t from) {
  for (const auto& [values, amount] : layers) {
    for (size_t i = from; i < out.size(); ++i) out[i] += amount * values[i];
  }
  if (!positive) return;
  for (size_t i = from; i < out.size(); ++i) out[i] = std::max(0.0F, out[i]);
}

#if defined(__x86_64__)

// The build targets any x86-64; this function alone is compiled for more, and runs only where the processor has it.
// AVX2 without FMA: a fused multiplication and addition would be rounded once instead of twice.
const bool kHasAvx2 = __builtin_cpu_supports("avx2");

/// All layers of 32 numbers before the next 32, so that sums stay in registers.
__attribute__((target("avx2"))) void fast_add(std::span<const Layer> layers, bool positive, std::span<float> out) {
  constexpr size_t kVectors = 4;
  constexpr size_t kStep = 8 * kVectors;
  size_t i = 0;
  for (; i + kStep <= out.size(); i += kStep) {
    __m256 sums[kVectors];
    for (size_t v = 0; v < kVectors; ++v) sums[v] = _mm256_loadu_ps(&out[i + 8 * v]);
    for (const auto& [values, amount] : layers) {
      const __m256 factor = _mm256_set1_ps(amount);
      for (size_t v = 0; v < kVectors; ++v) {
        const __m256 part = _mm256_mul_ps(factor, _mm256_loadu_ps(values + i + 8 * v));
        sums[v] = _mm256_add_ps(sums[v], part);
      }
    }
    for (size_t v = 0; v < kVectors; ++v) {
      // Of two zeros the second is taken, so that no -0 is left.
      if (positive) sums[v] = _mm256_max_ps(sums[v], _mm256_setzero_ps());
      _mm256_storeu_ps(&out[i + 8 * v], sums[v]);
    }
  }
  plain_add(layers, positive, out, i);
}

#else

constexpr bool kHasAvx2 = false;
void fast_add(std::span<const Layer> layers, bool positive, std::span<float> out) {
  plain_add(layers, positive, out, 0);
}

#endif

}  // namespace

void add_layers(std::span<const Layer> layers, bool positive, std::span<float> out) {
  if (kHasAvx2) {
    fast_add(layers, positive, out);
  } else {
    plain_add(layers, positive, out, 0);
  }
}

}  // namespace capture::synth
