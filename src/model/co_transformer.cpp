#include "capture/model/co_transformer.h"

#include <ATen/ATen.h>

#include <utility>

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
  for (const auto& [packed, part] : {std::pair(&queries_, queries()), std::pair(&keys_values_, keys_values())}) {
    if (!packed->made_of(part.weight, type)) *packed = PackedProduct(part.weight, part.bias, type);
  }
  if (!given_up || !queries_.made_of(queries().weight, type)) return;
  capture::give_up(qkv->weight);
  queries_.take_place_of(queries().weight);
  keys_values_.take_place_of(keys_values().weight);
}

void CoBlockImpl::unpack() {
  out->unpack();
  qkv->unpack();
  for (PackedProduct* packed : {&queries_, &keys_values_, &up_, &down_}) *packed = {};
}

CoBlockImpl::Part CoBlockImpl::queries() const {
  const int64_t width = qkv->weight.size(1);
  return {qkv->weight.narrow(0, 0, width), qkv->bias.narrow(0, 0, width)};
}

CoBlockImpl::Part CoBlockImpl::keys_values() const {
  const int64_t width = qkv->weight.size(1);
  return {qkv->weight.narrow(0, width, 2 * width), qkv->bias.narrow(0, width, 2 * width)};
}

at::Tensor CoBlockImpl::forward(const at::Tensor& x, const Sequences& sequences) const {
  return mlp(x + out->forward(context(x, sequences)));
}

at::Tensor CoBlockImpl::forward_rows(const at::Tensor& x, const Sequences& sequences, const at::Tensor& rows) const {
  const at::Tensor chosen = context(x, sequences).index_select(0, rows);
  return mlp(x.index_select(0, rows) + out->forward(chosen));
}

at::Tensor CoBlockImpl::forward_some(const at::Tensor& x, const Sequences& sequences, const at::Tensor& rows) const {
  const auto product = [](const PackedProduct& packed, const Part& part, const at::Tensor& inputs) {
    return packed.serves(part.weight) ? packed(inputs) : linear_product(inputs, part.weight, part.bias);
  };
  const at::Tensor y = norm_1->forward(x);
  const at::Tensor q = product(queries_, queries(), y.index_select(0, rows));
  const at::Tensor kv = product(keys_values_, keys_values(), y);
  return mlp(x.index_select(0, rows) + out->forward(attention_of_some(q, kv, sequences, heads_, 0.0)));
}

at::Tensor CoStackImpl::forward(at::Tensor x, const Sequences& sequences, size_t count) const {
  for (size_t i = 0; i < count; ++i) x = forward_layer(recomputes, layers[i], x, sequences);
  return x;
}

}  // namespace capture
