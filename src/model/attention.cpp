#include "capture/model/attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "packed_attention.h"
#include "plain_form.h"
#include "varlen_attention.h"

namespace capture {

namespace {

/// At 36 to 73 keys, batched products beat the CPU flash kernel's backward pass.
bool products_are_faster(const at::Tensor& q) {
  return q.device().is_cpu() && q.requires_grad();
}

}  // namespace

at::Tensor self_attention(const at::Tensor& qkv, const Sequences& sequences, int64_t heads, double dropout) {
  if (own_kernels(sequences)) return packed_self_attention(qkv, sequences, heads, dropout);
  if (sequences.packed()) return varlen_self_attention(qkv, sequences, heads, dropout);
  const auto parts = split_heads(by_sequence(qkv, sequences), 3, heads);
  return attend(parts[0], parts[1], parts[2], sequences.bias, dropout).flatten(0, 1);
}

std::pair<at::Tensor, at::Tensor> co_attention(const at::Tensor& text_qkv, const Sequences& text,
                                               const at::Tensor& region_qkv, const Sequences& regions, int64_t heads,
                                               double dropout) {
  if (own_kernels(text)) return packed_co_attention(text_qkv, text, region_qkv, regions, heads, dropout);
  if (text.packed()) return varlen_co_attention(text_qkv, text, region_qkv, regions, heads, dropout);
  const auto t = split_heads(by_sequence(text_qkv, text), 3, heads);
  const auto r = split_heads(by_sequence(region_qkv, regions), 3, heads);
  const at::Tensor from_text = attend(r[0], t[1], t[2], text.bias, dropout);
  const at::Tensor from_regions = attend(t[0], r[1], r[2], regions.bias, dropout);
  return {from_regions.flatten(0, 1), from_text.flatten(0, 1)};
}

at::Tensor attention_of_some(const at::Tensor& queries, const at::Tensor& keys_values, const Sequences& sequences,
                             int64_t heads, double dropout) {
  if (own_kernels(sequences)) return packed_attention_of_some(queries, keys_values, sequences, heads, dropout);
  if (sequences.packed()) return varlen_attention_of_some(queries, keys_values, sequences, heads, dropout);
  const auto q = split_heads(queries.view({sequences.count, -1, queries.size(1)}), 1, heads);
  const auto kv = split_heads(by_sequence(keys_values, sequences), 2, heads);
  return attend(q[0], kv[0], kv[1], sequences.bias, dropout).flatten(0, 1);
}

at::Tensor attention_to_states(const at::Tensor& queries, const at::Tensor& states, const Sequences& sequences) {
  if (own_kernels(sequences)) return packed_attention_to_states(queries, states, sequences);
  return attention_of_some(queries, at::cat({states, states}, 1), sequences, 1, 0.0);
}

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
