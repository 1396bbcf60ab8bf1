// Queries and gallery items as the kernels want them, and how far the kernels' scores can be from the true ones.
//
// Rounding to bfloat16 costs a share of a vector's length, and embeddings tend to point all in much the same direction,
// which says nothing about their order. So what is rounded is only how they differ from a middle. For a query x, an
// item y, and middles m of the queries and c of the items,
//
//   x·y  =  (x − m)·(y − c)  +  m·(y − c)  +  x·c,
//
// where the kernel multiplies the first, starts its sum from the second, and the third belongs to the query. For
// float32 both middles are zero.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "capture/retrieval/score_kernels.h"
#include "rows.h"

namespace capture {

/// The middles m and c, with the kernel that everything is prepared for.
struct Preparation {
  /// Means of some of the rows, or zeros when the kernel takes float32.
  Preparation(const ScoreKernel& kernel, const FloatRows& queries, const FloatRows& items);

  int64_t width() const { return static_cast<int64_t>(item_middle.size()); }
  /// Of a vector, for the kernel.
  int64_t words() const { return kernel.bfloat16 ? (width() + 1) / 2 : width(); }

  const ScoreKernel& kernel;
  std::vector<float> query_middle;  // m
  std::vector<float> item_middle;   // c
  double query_middle_length;
  double item_middle_length;
};

/// What the error of a score depends on, of an item: never less than the true lengths.
struct ItemTerms {
  float length = 0;    ///< of y − c
  float rounding = 0;  ///< of what rounding took from it
};

/// The same of a query, and x·c.
struct QueryTerms {
  float offset = 0;
  float per_length = 0;
  float per_rounding = 0;
  float constant = 0;

  /// How far offset + the kernel's score can be from the exact score, by which items are ranked.
  float error(ItemTerms item) const { return per_length * item.length + per_rounding * item.rounding + constant; }
};

/// A run of rows, interleaved by `lanes`; the last panel is filled up with zeros.
class Panels {
 public:
  Panels(int64_t words, int64_t lanes) : words_(words), lanes_(lanes) {}

  void resize(int64_t rows);
  int64_t count() const { return count_; }
  uint32_t* panel(int64_t p) { return data_ + p * words_ * lanes_; }
  const uint32_t* panel(int64_t p) const { return data_ + p * words_ * lanes_; }

 private:
  int64_t words_;
  int64_t lanes_;
  int64_t count_ = 0;
  at::Tensor memory_;  // aligned to 64 bytes, as LibTorch's memory is
  uint32_t* data_ = nullptr;
};

/// All queries of a pass over the gallery.
class PreparedQueries {
 public:
  /// UserError, with the row's number + `first`, when a value is not finite.
  PreparedQueries(const Preparation& preparation, const float* rows, int64_t count, int64_t first);

  const Panels& panels() const { return panels_; }
  const QueryTerms& terms(int64_t query) const { return terms_[static_cast<size_t>(query)]; }
  /// No sum that the kernel forms exceeds this times (an item's length + the length of c).
  double longest() const { return longest_; }

 private:
  Panels panels_;
  std::vector<QueryTerms> terms_;
  double longest_ = 0;
};

/// A tile of gallery items. Its memory serves one tile after the other.
class PreparedItems {
 public:
  explicit PreparedItems(const Preparation& preparation);

  /// Gives every item its terms. Returns the first row that has a value which is not finite, or -1.
  int64_t prepare(const float* rows, int64_t count, ItemTerms* terms);

  const Panels& panels() const { return panels_; }
  const float* start(int64_t panel) const { return start_ + panel * preparation_.kernel.item_lanes; }
  /// The largest of each term.
  ItemTerms most() const { return most_; }

 private:
  const Preparation& preparation_;
  Panels panels_;
  at::Tensor start_memory_;
  float* start_ = nullptr;
  ItemTerms most_;
};

}  // namespace capture
