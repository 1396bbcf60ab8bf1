// What kernels that work row by row share.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>

#include "capture/tensor/parallel.h"
#include "kernels/numbers.h"

namespace capture {

/// Rows that one task does.
inline constexpr int64_t kBlock = 64;

inline int64_t blocks_of(int64_t rows) {
  return (rows + kBlock - 1) / kBlock;
}

/// Calls call(block, first, last) for blocks of rows, in parallel. The blocks do not depend on the threads.
template <class Call>
void for_each_block(int64_t rows, const Call& call) {
  for_each_task(blocks_of(rows),
                [&](int64_t block, int64_t) { call(block, block * kBlock, std::min(rows, (block + 1) * kBlock)); });
}

/// Calls with the pointer of a float32 or bfloat16 tensor.
template <class Call>
void with_numbers(const at::Tensor& tensor, const Call& call) {
  if (tensor.scalar_type() == at::kFloat) {
    call(static_cast<float*>(tensor.data_ptr()));
  } else {
    TORCH_CHECK(tensor.scalar_type() == at::kBFloat16, "float32 or bfloat16, not ", tensor.scalar_type());
    call(static_cast<kernels::BFloat16Bits*>(tensor.data_ptr()));
  }
}

}  // namespace capture
