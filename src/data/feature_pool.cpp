#include "feature_pool.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>

#include "capture/tensor/huge_tensor.h"

namespace capture {

FeaturePool::FeaturePool(int64_t capacity, at::ScalarType type, bool pin_memory)
    : capacity_(capacity), type_(type), pin_memory_(pin_memory) {}

at::Tensor FeaturePool::take(at::IntArrayRef sizes) {
  if (pin_memory_) return at::empty(sizes, at::TensorOptions().dtype(type_).pinned_memory(true));
  const int64_t count = c10::multiply_integers(sizes);
  TORCH_INTERNAL_ASSERT(count <= capacity_);
  const std::lock_guard lock(mutex_);
  auto free = std::ranges::find_if(blocks_, [](const at::Tensor& block) { return block.storage().use_count() == 1; });
  if (free != blocks_.end()) {
    // Whoever let go of the block last has read it; what is written next must not be seen by those reads.
    std::atomic_thread_fence(std::memory_order_acquire);
  } else {
    // In huge pages where the system has them: filling a batch touches thousands of small ones.
    free = blocks_.insert(blocks_.end(), make_huge_tensor(capacity_, type_));
  }
  return free->narrow(0, 0, count).view(sizes);
}

}  // namespace capture
