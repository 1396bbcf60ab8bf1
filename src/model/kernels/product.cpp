#include "product.h"

#include "lanes.h"

namespace capture::kernels {

namespace {

/// kRows × (kColumns · 16) numbers of c = a b, kept in registers while k runs. a is [m, k], or [k, m] where it is taken
/// transposed; b is [k, n].
template <int kRows, int kColumns, bool kTransposed>
CAPTURE_LANES void product_tile(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c,
                                int64_t c_stride, int64_t depth) {
  Lanes sums[kRows][kColumns] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Lanes row[kColumns];
    for (int n = 0; n < kColumns; ++n) row[n] = load(b + k * b_stride + n * kLanes);
    for (int m = 0; m < kRows; ++m) {
      const float factor = kTransposed ? a[k * a_stride + m] : a[m * a_stride + k];
      for (int n = 0; n < kColumns; ++n) sums[m][n] += factor * row[n];
    }
  }
  for (int m = 0; m < kRows; ++m) {
    for (int n = 0; n < kColumns; ++n) store(c + m * c_stride + n * kLanes, sums[m][n]);
  }
}

/// As many rows as keep the processor's adders busy: some ten sums at a time.
constexpr int rows_for(int columns) {
  return columns == 1 ? 12 : columns == 2 ? 6 : 4;
}

template <int kColumns, bool kTransposed>
CAPTURE_LANES void product_columns(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c,
                                   int64_t c_stride, int64_t rows, int64_t depth) {
  constexpr int kRows = rows_for(kColumns);
  const int64_t step = kTransposed ? 1 : a_stride;
  int64_t m = 0;
  for (; m + kRows <= rows; m += kRows) {
    product_tile<kRows, kColumns, kTransposed>(a + m * step, a_stride, b, b_stride, c + m * c_stride, c_stride, depth);
  }
  for (; m < rows; ++m) {
    product_tile<1, kColumns, kTransposed>(a + m * step, a_stride, b, b_stride, c + m * c_stride, c_stride, depth);
  }
}

template <bool kTransposed>
CAPTURE_LANES void product_as(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c,
                              int64_t c_stride, int64_t rows, int64_t columns, int64_t depth) {
  int64_t n = 0;
  for (; n + 4 * kLanes <= columns; n += 4 * kLanes) {
    product_columns<4, kTransposed>(a, a_stride, b + n, b_stride, c + n, c_stride, rows, depth);
  }
  const int64_t rest = (columns - n) / kLanes;
  if (rest == 1) product_columns<1, kTransposed>(a, a_stride, b + n, b_stride, c + n, c_stride, rows, depth);
  if (rest == 2) product_columns<2, kTransposed>(a, a_stride, b + n, b_stride, c + n, c_stride, rows, depth);
  if (rest == 3) product_columns<3, kTransposed>(a, a_stride, b + n, b_stride, c + n, c_stride, rows, depth);
}

}  // namespace

CAPTURE_KERNEL void product(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c,
                            int64_t c_stride, int64_t rows, int64_t columns, int64_t depth) {
  product_as<false>(a, a_stride, b, b_stride, c, c_stride, rows, columns, depth);
}

CAPTURE_KERNEL void product_transposed(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c,
                                       int64_t c_stride, int64_t rows, int64_t columns, int64_t depth) {
  product_as<true>(a, a_stride, b, b_stride, c, c_stride, rows, columns, depth);
}

}  // namespace capture::kernels
