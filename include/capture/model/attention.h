// Multi-head attention on packed projections.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace capture {

/// Views of a packed projection [B, N, parts · heads · d] as `parts` tensors [B, heads, N, d].
std::vector<at::Tensor> split_heads(const at::Tensor& packed, int64_t parts, int64_t heads);

/// softmax(q kᵀ / √d + bias) v with dropout of the weights: q [B, heads, N, d], k and v [B, heads, M, d] → the contexts
/// side by side, [B, N, heads · d]. `bias` [B, 1, 1, M] is added to the scores (see padding_bias); undefined: none.
/// `dropout` is 0 outside training.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias,
                  double dropout);

/// mask [B, M] bool, true where there is something to attend to → bias [B, 1, 1, M] float32: 0 there and a number
/// elsewhere that softmax turns into exactly 0. It is finite, so that a row without anything to attend to gets a mean,
/// not NaN.
at::Tensor padding_bias(const at::Tensor& mask);

}  // namespace capture
