// Turns drafts into the tensors of one batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "capture/data/batch.h"
#include "draft.h"

namespace capture {

/// Float tensors that are filled again once nobody but the pool holds them. A batch's features are by far its largest
/// part, and fresh memory costs a page fault every 4 KB. Thread-safe.
class FeaturePool {
 public:
  /// Page-locked tensors always come from LibTorch's own cache, which knows when a GPU has finished reading them.
  explicit FeaturePool(bool pin_memory) : pin_memory_(pin_memory) {}

  /// A float32 tensor of these sizes, contents undefined.
  at::Tensor take(at::IntArrayRef sizes);

 private:
  bool pin_memory_;
  std::mutex mutex_;
  std::vector<at::Tensor> blocks_;
};

/// Two, because a block for inputs would be wasted on the few features that were masked.
struct FeaturePools {
  explicit FeaturePools(bool pin_memory) : inputs(pin_memory), targets(pin_memory) {}

  FeaturePool inputs;
  FeaturePool targets;
};

/// Fills batches on one thread; the pools and the dataset are shared with the others.
class BatchFiller {
 public:
  BatchFiller(const Drafter& drafter, int64_t feature_width, int64_t class_count, int64_t pad_token, bool masking,
              bool pin_memory, FeaturePools& pools);

  /// The batch of these samples; its `epoch` is set, its `index` is not.
  Batch fill(std::vector<int64_t> samples, int64_t epoch);

 private:
  at::Tensor empty(at::IntArrayRef sizes, at::ScalarType type) const;
  void fill_text(std::span<const Draft> drafts, Batch& batch) const;
  void fill_regions(std::span<const Draft> drafts, Batch& batch) const;
  void fill_region_row(const Draft& draft, float* features, float*& target, float*& target_classes) const;

  const Drafter& drafter_;
  int64_t feature_width_;
  int64_t class_count_;
  int64_t pad_token_;
  bool masking_;
  bool pin_memory_;
  FeaturePools& pools_;
  std::vector<Draft> drafts_;  // kept for their memory
};

}  // namespace capture
