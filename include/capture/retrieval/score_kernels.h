// The innermost loops of search, once for each kind of processor: fast scores of a few queries against a few gallery
// items, and the exact score of one pair.
#pragma once

#include <cstdint>
#include <span>

namespace capture {

/// Vectors that a kernel takes together stand interleaved: word w of lane l at [w * lanes + l]. A word is 32 bits of a
/// vector: one float32, or two bfloat16, the earlier in the lower half. All pointers are aligned to 64 bytes.
struct ScoreKernel {
  const char* name;
  bool bfloat16;
  int64_t query_lanes;  ///< at most kMostQueryLanes
  int64_t item_lanes;   ///< at most kMostItemLanes
  /// scores[query lane * item_lanes + item lane] = start[item lane] + the dot product, rounded to float32 after each
  /// addition and perhaps each multiplication, in whatever order.
  void (*score)(const uint32_t* queries, const uint32_t* items, const float* start, int64_t words, float* scores);
  /// Bit l is set when scores[l] reaches the bound; one bit for each item lane.
  uint32_t (*reaching)(const float* scores, float bound);
  /// The dot product in double, its additions in an order that is the same in every kernel. A product of two float32 is
  /// exact in double, so it does not matter which kernels fuse it with the addition.
  double (*dot)(const float* a, const float* b, int64_t width);
};

inline constexpr int64_t kMostQueryLanes = 16;
inline constexpr int64_t kMostItemLanes = 32;

/// All kernels that the running processor can run, slowest first; the first runs everywhere.
std::span<const ScoreKernel* const> score_kernels();

/// The fastest of them for vectors of float32.
const ScoreKernel& float32_kernel();

/// The fastest for vectors of bfloat16; null on a processor where these save no time (see bfloat16_pairs_pay()).
const ScoreKernel* bfloat16_kernel();

}  // namespace capture
