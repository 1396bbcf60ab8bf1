#include "feature_pool.h"

#include <ATen/ATen.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace capture {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;

/// In huge pages where the system has them: filling a batch touches thousands of small ones.
at::Tensor make_block(int64_t capacity, at::ScalarType type) {
  const size_t wanted = static_cast<size_t>(capacity) * c10::elementSize(type);
  const size_t bytes = std::max((wanted + kHugePage - 1) / kHugePage, size_t{1}) * kHugePage;
  void* const memory = std::aligned_alloc(kHugePage, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  return at::from_blob(
      memory, {capacity}, [](void* block) { std::free(block); }, at::TensorOptions().dtype(type));
}

}  // namespace

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
    free = blocks_.insert(blocks_.end(), make_block(capacity_, type_));
  }
  return free->narrow(0, 0, count).view(sizes);
}

}  // namespace capture
