// Turns drafts into the tensors of one batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "capture/base/trace.h"
#include "capture/data/batch.h"
#include "draft.h"
#include "epoch_order.h"
#include "feature_pool.h"

namespace capture {

/// What all batches of a loader have in common.
struct BatchForm {
  int64_t batch_size;  ///< the most pairs
  int64_t max_regions;
  int64_t feature_width;
  int64_t class_count;  ///< of the targets; 0 without
  int64_t pad_token;
  bool packed;
  bool half_features;
  bool pin_memory;

  /// The most bytes of features that a batch can hold, which is nearly all of it.
  int64_t feature_bytes() const;
};

/// Two, because a block for inputs would be wasted on the few features that were masked.
struct FeaturePools {
  explicit FeaturePools(const BatchForm& form);

  FeaturePool inputs;
  FeaturePool targets;
};

/// Fills batches on one thread; the pools and the dataset are shared with the others.
class BatchFiller {
 public:
  BatchFiller(const Drafter& drafter, const BatchForm& form, FeaturePools& pools, Trace* trace);

  /// The batch of these draws, of which a stand-in has no targets; its `epoch` is set, its `index` is not. `number` is
  /// what a trace calls it.
  Batch fill(const RankBatch& drawn, int64_t epoch, int64_t number);

 private:
  /// Where each row's entries begin in the batch's flat tensors, then where the last one's end.
  template <class Count>
  std::vector<int64_t> lay_out(std::span<const Draft> drafts, const Count& count) const;

  at::Tensor empty(at::IntArrayRef sizes, at::ScalarType type) const;
  at::Tensor cumulative(const std::vector<int64_t>& starts) const;
  void fill_text(std::span<const Draft> drafts, Batch& batch) const;
  void fill_places(std::span<const Draft> drafts, const std::vector<int64_t>& starts, Batch& batch) const;
  void fill_regions(std::span<const Draft> drafts, Batch& batch) const;
  template <class Number>
  void fill_features(std::span<const Draft> drafts, const std::vector<int64_t>& starts, Number* features,
                     Number* targets) const;
  void fill_classes(std::span<const Draft> drafts, float* classes) const;

  const Drafter& drafter_;
  BatchForm form_;
  FeaturePools& pools_;
  Trace* trace_;
  std::vector<Draft> drafts_;  // kept for their memory
};

}  // namespace capture
