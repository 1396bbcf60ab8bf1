// Which numbers dropout keeps: a function of a key and of their place, the same whatever the thread and the processor,
// so that the backward pass draws them again instead of storing them.
#pragma once

#include "numbers.h"

namespace capture::kernels {

/// Drops each number with probability threshold / 65536.
struct Dropout {
  uint64_t key = 0;
  uint32_t threshold = 0;  ///< 0: keeps everything
  float scale = 1;         ///< of what is kept, so that the mean stays

  bool active() const { return threshold > 0; }
};

/// `probability` in [0, 1), rounded to a multiple of 1/65536.
inline Dropout dropout(double probability, uint64_t key) {
  const auto threshold = static_cast<uint32_t>(probability * 65536 + 0.5);
  return {key, threshold, 65536.0F / static_cast<float>(65536 - threshold)};
}

/// Factors are drawn this many at a time.
inline constexpr int64_t kFactors = 128;

/// What the first kFactors · blocks numbers of a stream are multiplied by: the scale, or 0. Made of
/// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011).
void draw_factors(const Dropout& dropout, uint64_t stream, int64_t blocks, float* factors);

/// Rows first … last − 1, of `width` numbers each, of y: those of x times the first factors of each row's stream. x and
/// y may be the same array.
void drop_rows(const Dropout& dropout, const int64_t* streams, int64_t first, int64_t last, int64_t width,
               const float* x, float* y);
void drop_rows(const Dropout& dropout, const int64_t* streams, int64_t first, int64_t last, int64_t width,
               const BFloat16Bits* x, BFloat16Bits* y);

}  // namespace capture::kernels
