// x Wᵀ + b with gradients, by the fastest way there is.
#pragma once

#include <ATen/core/Tensor.h>

namespace capture {

/// scale · x weightᵀ + bias_scale · bias: x [..., inputs], weight [outputs, inputs], bias [outputs] → [..., outputs],
/// in bfloat16 under autocast. On the CPUs that kernels/panel_product.h is for, by that; elsewhere by LibTorch.
at::Tensor linear_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double scale = 1.0,
                          double bias_scale = 1.0);

/// The same by LibTorch alone: what the other is held against.
at::Tensor plain_linear_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                double scale = 1.0, double bias_scale = 1.0);

}  // namespace capture
