#include "capture/model/absorbed_attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "capture/model/attention.h"

namespace capture {

AbsorbedAttention::AbsorbedAttention(const at::Tensor& weight, const at::Tensor& bias, int64_t heads,
                                     at::ScalarType type) {
  const at::NoGradGuard no_gradient;
  const int64_t width = weight.size(1);
  const auto weights = weight.detach().view({3, heads, width / heads, width}).unbind();
  const auto biases = bias.detach().view({3, heads, width / heads}).unbind();
  queries_ = PackedProduct(weights[0].flatten(0, 1), biases[0].flatten(), type);
  queries_.take_place_of(weight);
  // Scores are to be divided by the root of a head's width, and attention divides by that of the states'.
  const double scale = std::sqrt(static_cast<double>(heads));
  const at::Tensor none = at::zeros({width}, bias.options());
  for (int64_t head = 0; head < heads; ++head) {
    keys_.emplace_back(weights[1][head].t().contiguous(), none, type, scale);
    values_.emplace_back(weights[2][head], biases[2][head], type);
  }
}

bool AbsorbedAttention::made_of(const at::Tensor& weight, at::ScalarType type) const {
  return queries_.made_of(weight, type);
}

void AbsorbedAttention::give_up(at::Tensor& weight) {
  queries_.give_up(weight);
}

bool AbsorbedAttention::serves(const at::Tensor& weight) const {
  return queries_.serves(weight);
}

at::Tensor AbsorbedAttention::operator()(const at::Tensor& states, const at::Tensor& rows,
                                         const Sequences& sequences) const {
  const auto heads = static_cast<int64_t>(keys_.size());
  const at::Tensor queries = queries_(states.index_select(0, rows));  // [M, W]
  std::vector<at::Tensor> parts = queries.chunk(heads, 1);
  for (size_t head = 0; head < parts.size(); ++head) parts[head] = keys_[head](parts[head].contiguous());
  const at::Tensor asked = at::stack(parts, 1).flatten(0, 1);  // [M · heads, W]
  const at::Tensor means = attention_to_states(asked, states.to(asked.scalar_type()), sequences);
  parts = means.unflatten(0, {-1, heads}).unbind(1);
  for (size_t head = 0; head < parts.size(); ++head) parts[head] = values_[head](parts[head].contiguous());
  return at::cat(parts, 1);
}

}  // namespace capture
