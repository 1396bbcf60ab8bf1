// LayerNorm of a sum, the end of every half of a post-LayerNorm layer, in one pass over the rows.
#pragma once

#include <cstdint>

#include "dropout.h"

namespace capture::kernels {

/// What is done to each row of `width` numbers.
struct AddNorm {
  int64_t width;
  float epsilon;  ///< added to the variance
  Dropout dropout;
  const int64_t* streams;  ///< of dropout, one a row
};

/// Rows first … last − 1 of y = LayerNorm(x + dropout(added)) · weight + bias. `sums`, the sum itself, and `means` and
/// `inverse_deviations`, one a row, are kept for the backward pass where `sums` is not null.
void add_norm(const AddNorm& op, int64_t first, int64_t last, const float* x, const float* added, const float* weight,
              const float* bias, float* y, float* sums, float* means, float* inverse_deviations);
void add_norm(const AddNorm& op, int64_t first, int64_t last, const float* x, const BFloat16Bits* added,
              const float* weight, const float* bias, float* y, float* sums, float* means, float* inverse_deviations);

/// Rows first … last − 1 of the gradients of x and `added`, overwritten (without dropout and in float32 they may be the
/// same array), and what these rows add to those of weight and bias, [width] each, from y's.
void add_norm_backward(const AddNorm& op, int64_t first, int64_t last, const float* y_gradient, const float* sums,
                       const float* means, const float* inverse_deviations, const float* weight, float* x_gradient,
                       float* added_gradient, float* weight_gradient, float* bias_gradient);
void add_norm_backward(const AddNorm& op, int64_t first, int64_t last, const float* y_gradient, const float* sums,
                       const float* means, const float* inverse_deviations, const float* weight, float* x_gradient,
                       BFloat16Bits* added_gradient, float* weight_gradient, float* bias_gradient);

}  // namespace capture::kernels
