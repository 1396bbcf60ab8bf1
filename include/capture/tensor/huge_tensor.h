// Tensors in large blocks of memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace capture {

/// [numbers] of the type on the CPU, in take_huge_pages(): contents undefined, and no memory taken before it is used.
at::Tensor make_huge_tensor(int64_t numbers, at::ScalarType type);

}  // namespace capture
