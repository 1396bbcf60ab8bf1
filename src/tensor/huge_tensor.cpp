#include "capture/tensor/huge_tensor.h"

#include <ATen/ATen.h>

#include "capture/base/huge_pages.h"

namespace capture {

at::Tensor make_huge_tensor(int64_t numbers, at::ScalarType type) {
  HugePages memory = take_huge_pages(static_cast<size_t>(numbers) * c10::elementSize(type));
  return at::from_blob(
      memory.release(), {numbers}, [](void* pages) { FreePages()(static_cast<std::byte*>(pages)); },
      at::TensorOptions().dtype(type));
}

}  // namespace capture
