// Memory for the features of batches, filled again and again.
#pragma once

#include <ATen/core/Tensor.h>

#include <mutex>
#include <vector>

namespace capture {

/// Tensors that are filled again once nobody but the pool holds them. A batch's features are by far its largest part,
/// and fresh memory costs a page fault every 4 KB. All blocks have one size, so that any free one will do; what is
/// never written of them takes no memory. Thread-safe.
class FeaturePool {
 public:
  /// `capacity`: the most numbers that a tensor can have. Page-locked tensors come from LibTorch's own cache instead,
  /// which knows when a GPU has finished reading them.
  FeaturePool(int64_t capacity, at::ScalarType type, bool pin_memory);

  /// A tensor of these sizes, contents undefined.
  at::Tensor take(at::IntArrayRef sizes);

 private:
  int64_t capacity_;
  at::ScalarType type_;
  bool pin_memory_;
  std::mutex mutex_;
  std::vector<at::Tensor> blocks_;
};

}  // namespace capture
