// Products of matrices that fit into the cache.
#pragma once

#include <cstdint>

namespace capture::kernels {

/// c [rows, columns] = a [rows, depth] · b [depth, columns], rows `…_stride` numbers apart. columns is a multiple
/// of 16.
void product(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c, int64_t c_stride,
             int64_t rows, int64_t columns, int64_t depth);

/// The same with aᵀ: a is [depth, rows].
void product_transposed(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c, int64_t c_stride,
                        int64_t rows, int64_t columns, int64_t depth);

}  // namespace capture::kernels
