#include "capture/model/co_transformer.h"

#include <ATen/ATen.h>

#include "capture/model/attention.h"
#include "linear_product.h"
#include "recompute.h"

namespace capture {

CoBlockImpl::CoBlockImpl(const CoBlockOptions& options)
    : norm_1(register_module("norm_1", LayerNorm(options.width))),
      qkv(register_module("qkv", Linear(options.width, 3 * options.width))),
      out(register_module("out", Linear(options.width, options.width))),
      norm_2(register_module("norm_2", LayerNorm(options.width))),
      up(register_module("up", Linear(options.width, 4 * options.width))),
      down(register_module("down", Linear(4 * options.width, options.width))),
      heads_(options.heads) {}

at::Tensor CoBlockImpl::context(const at::Tensor& x, const Sequences& sequences) const {
  return self_attention(qkv->forward(norm_1->forward(x)), sequences, heads_, 0.0);
}

at::Tensor CoBlockImpl::context_of_some(const at::Tensor& x, const Sequences& sequences, const at::Tensor& rows) const {
  const at::Tensor y = norm_1->forward(x);
  if (absorbed_.serves(qkv->weight)) return absorbed_(y, rows, sequences);
  const int64_t width = x.size(1);
  const auto product = [&](const at::Tensor& inputs, int64_t first, int64_t count) {
    return linear_product(inputs, qkv->weight.narrow(0, first, count), qkv->bias.narrow(0, first, count));
  };
  const at::Tensor queries = product(y.index_select(0, rows), 0, width);
  return attention_of_some(queries, product(y, width, 2 * width), sequences, heads_, 0.0);
}

at::Tensor CoBlockImpl::mlp(const at::Tensor& x) const {
  // QuickGELU, a·sigmoid(1.702a), is silu(1.702a)/1.702: both factors ride along with the two products.
  const at::Tensor y = norm_2->forward(x);
  if (up_.serves(up->weight) && down_.serves(down->weight)) return x + down_(up_(y, Activation::silu));
  const at::Tensor inner = at::silu(linear_product(y, up->weight, up->bias, kQuickGeluSlope, kQuickGeluSlope));
  return x + linear_product(inner, down->weight, down->bias, 1.0 / kQuickGeluSlope);
}

void CoBlockImpl::pack(at::ScalarType type, bool for_some, PackedWeights weights) {
  const bool given_up = weights == PackedWeights::given_up;
  out->pack(type, weights);
  if (!up_.made_of(up->weight, type)) up_ = PackedProduct(up->weight, up->bias, type, kQuickGeluSlope, kQuickGeluSlope);
  if (!down_.made_of(down->weight, type)) down_ = PackedProduct(down->weight, down->bias, type, 1.0 / kQuickGeluSlope);
  if (given_up) {
    up_.give_up(up->weight);
    down_.give_up(down->weight);
  }
  if (!for_some) {
    qkv->pack(type, weights);
    return;
  }
  if (!absorbed_.made_of(qkv->weight, type)) absorbed_ = AbsorbedAttention(qkv->weight, qkv->bias, heads_, type);
  if (given_up) absorbed_.give_up(qkv->weight);
}

void CoBlockImpl::unpack() {
  out->unpack();
  qkv->unpack();
  absorbed_ = {};
  for (PackedProduct* packed : {&up_, &down_}) *packed = {};
}

at::Tensor CoBlockImpl::forward(const at::Tensor& x, const Sequences& sequences) const {
  return mlp(x + out->forward(context(x, sequences)));
}

at::Tensor CoBlockImpl::forward_rows(const at::Tensor& x, const Sequences& sequences, const at::Tensor& rows) const {
  const at::Tensor chosen = context(x, sequences).index_select(0, rows);
  return mlp(x.index_select(0, rows) + out->forward(chosen));
}

at::Tensor CoBlockImpl::forward_some(const at::Tensor& x, const Sequences& sequences, const at::Tensor& rows) const {
  return mlp(x.index_select(0, rows) + out->forward(context_of_some(x, sequences, rows)));
}

at::Tensor CoStackImpl::forward(at::Tensor x, const Sequences& sequences, size_t count) const {
  for (size_t i = 0; i < count; ++i) x = forward_layer(recomputes, layers[i], x, sequences);
  return x;
}

}  // namespace capture
