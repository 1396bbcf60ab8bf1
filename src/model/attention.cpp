#include "capture/model/attention.h"

#include <ATen/ATen.h>

#include <cmath>

namespace capture {

namespace {

/// At 36 to 73 keys, batched products beat the CPU flash kernel's backward pass.
bool products_are_faster(const at::Tensor& q) {
  return q.device().is_cpu() && q.requires_grad();
}

}  // namespace

std::vector<at::Tensor> split_heads(const at::Tensor& packed, int64_t parts, int64_t heads) {
  const int64_t batch = packed.size(0);
  const int64_t length = packed.size(1);
  return packed.view({batch, length, parts, heads, -1}).permute({2, 0, 3, 1, 4}).unbind(0);
}

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias,
                  double dropout) {
  at::Tensor context;
  if (products_are_faster(q)) {
    const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
    at::Tensor scores = at::matmul(q * scale, k.transpose(-1, -2));
    if (bias.defined()) scores = scores + bias;
    at::Tensor weights = at::softmax(scores, -1).to(v.scalar_type());
    if (dropout > 0) weights = at::dropout(weights, dropout, /*train=*/true);
    context = at::matmul(weights, v);
  } else {
    const auto mask = bias.defined() ? std::optional(bias.to(q.scalar_type())) : std::nullopt;
    context = at::scaled_dot_product_attention(q, k, v, mask, dropout);
  }
  return context.transpose(1, 2).flatten(2);
}

at::Tensor padding_bias(const at::Tensor& mask) {
  // Large enough to vanish in softmax, small enough to stay finite when rounded to bfloat16.
  constexpr double kNever = -1e30;
  return at::zeros(mask.sizes(), mask.options().dtype(at::kFloat))
      .masked_fill_(mask.logical_not(), kNever)
      .unsqueeze(1)
      .unsqueeze(1);
}

}  // namespace capture
