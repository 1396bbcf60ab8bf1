// What the product kernels of this folder are written in: sixteen numbers at a time, on AVX-512 with its bfloat16
// instructions. Every name here belongs to the file that includes it, so that no other processor's program finds it.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lanes.h"
#include "panel_product.h"

// No header may be included below the pragma: what it defines would be compiled for processors that the running one may
// not be.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

namespace capture::kernels {
namespace {

using Numbers = __m512;
using Words = __m512i;

/// The first `count` of sixteen, or fewer, or none.
__mmask16 first_of(int64_t count) {
  return static_cast<__mmask16>((1U << std::clamp<int64_t>(count, 0, 16)) - 1);
}

/// Numbers of a line or of a place as float32; those behind the mask are zero and not read.
inline Numbers load(const float* from, __mmask16 mask) {
  return _mm512_maskz_loadu_ps(mask, from);
}
inline Numbers load(const uint16_t* from, __mmask16 mask) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from)), 16));
}

/// Brings the numbers of column panels into the second-level cache, a cache line a call.
class Prefetch {
 public:
  Prefetch(const Factor& factor, int64_t depth, int64_t first, int64_t count) {
    if (first >= factor.lines || factor.data == nullptr) return;
    const int64_t bytes = factor.bfloat16 ? 2 : 4;
    const int64_t lines = std::min(count, factor.lines - first);
    stride_ = factor.stride * bytes;
    run_ = (factor.line_wise ? depth : lines) * bytes;
    left_ = factor.line_wise ? lines : depth;
    at_ = static_cast<const char*>(factor.data) + first * (factor.line_wise ? stride_ : bytes);
  }

  void line() {
    if (left_ == 0) return;
    _mm_prefetch(at_ + inside_, _MM_HINT_T1);
    inside_ += 64;
    if (inside_ < run_) return;
    inside_ = 0;
    at_ += stride_;
    --left_;
  }

  /// Cache lines that are left.
  int64_t lines() const { return left_ * ((run_ + 63) / 64); }

 private:
  const char* at_ = nullptr;  // a run of numbers side by side,
  int64_t run_ = 0;           // its bytes,
  int64_t inside_ = 0;        // those of it that are done,
  int64_t stride_ = 0;        // and bytes to the next
  int64_t left_ = 0;          // runs
};

/// x · Φ(x), Φ being the normal distribution. Its error function is formula 7.1.26 of Abramowitz and Stegun, "Handbook
/// of Mathematical Functions", off by 1.5e-7 at most.
inline Numbers gelu(Numbers x) {
  const Numbers z = _mm512_abs_ps(x) * 0.707106781F;
  const Numbers t = 1.0F / (1.0F + 0.3275911F * z);
  const Numbers series =
      ((((1.061405429F * t - 1.453152027F) * t + 1.421413741F) * t - 0.284496736F) * t + 0.254829592F) * t;
  const Numbers beyond = 0.5F * series * exponential(-z * z);  // how much of the distribution lies beyond |x|
  return x * (x < 0.0F ? beyond : 1.0F - beyond);
}

/// x / (1 + e⁻ˣ).
inline Numbers silu(Numbers x) {
  const Numbers power = exponential(-_mm512_abs_ps(x));
  return x * (x < 0.0F ? power : Numbers{} + 1.0F) / (1.0F + power);
}

inline Numbers finished(Finish finish, Numbers numbers) {
  switch (finish) {
    case Finish::gelu:
      return gelu(numbers);
    case Finish::silu:
      return silu(numbers);
    default:
      return numbers;
  }
}

/// What is added to sixteen columns from `column` on.
inline Numbers bias_at(const Result& result, int64_t column, __mmask16 mask) {
  if (result.bias == nullptr) return _mm512_setzero_ps();
  return _mm512_maskz_loadu_ps(mask, result.bias + column) * result.bias_scale;
}

/// Sixteen finished numbers of one row.
inline void put(const Result& result, int64_t row, int64_t column, Numbers sums, Numbers bias, __mmask16 mask) {
  const Numbers numbers = finished(result.finish, _mm512_fmadd_ps(sums, _mm512_set1_ps(result.scale), bias));
  const int64_t at = row * result.stride + column;
  if (result.bfloat16) {
    _mm256_mask_storeu_epi16(static_cast<uint16_t*>(result.data) + at, mask,
                             reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
    return;
  }
  auto* const to = static_cast<float*>(result.data) + at;
  if (result.passing && mask == 0xffff && reinterpret_cast<uintptr_t>(to) % 64 == 0) {
    _mm512_stream_ps(to, numbers);
  } else {
    _mm512_mask_storeu_ps(to, mask, numbers);
  }
}

/// Stores past the caches may be late; after this, they are not.
inline void finish_stores() {
  _mm_sfence();
}

}  // namespace
}  // namespace capture::kernels

#pragma GCC pop_options

#endif
