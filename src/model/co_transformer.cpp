#include "capture/model/co_transformer.h"

#include <ATen/ATen.h>

#include <utility>

#include "capture/model/attention.h"

namespace capture {

namespace {

/// Of QuickGELU.
constexpr double kSlope = 1.702;

}  // namespace

CoBlockImpl::CoBlockImpl(const CoBlockOptions& options)
    : norm_1(register_module("norm_1", LayerNorm(options.width))),
      qkv(register_module("qkv", Linear(options.width, 3 * options.width))),
      out(register_module("out", Linear(options.width, options.width))),
      norm_2(register_module("norm_2", LayerNorm(options.width))),
      up(register_module("up", Linear(options.width, 4 * options.width))),
      down(register_module("down", Linear(4 * options.width, options.width))),
      heads_(options.heads) {}

at::Tensor CoBlockImpl::context(const at::Tensor& x, const at::Tensor& bias) const {
  const auto heads = split_heads(qkv->forward(norm_1->forward(x)), 3, heads_);
  return attend(heads[0], heads[1], heads[2], bias, 0.0);
}

at::Tensor CoBlockImpl::mlp(const at::Tensor& x) const {
  // QuickGELU, a·sigmoid(1.702a), is silu(1.702a)/1.702: both factors ride along with the two products.
  const at::Tensor rows = norm_2->forward(x).flatten(0, -2);
  if (up_.serves(up->weight) && down_.serves(down->weight)) {
    return x + down_(up_(rows, Activation::silu)).view(x.sizes());
  }
  const at::Tensor inner = at::silu(at::addmm(up->bias, rows, up->weight.t(), kSlope, kSlope));
  return x + at::addmm(down->bias, inner, down->weight.t(), 1.0, 1.0 / kSlope).view(x.sizes());
}

void CoBlockImpl::pack(at::ScalarType type, bool for_positions) {
  out->pack(type);
  if (!up_.made_of(up->weight, type)) up_ = PackedProduct(up->weight, up->bias, type, kSlope, kSlope);
  if (!down_.made_of(down->weight, type)) down_ = PackedProduct(down->weight, down->bias, type, 1.0 / kSlope);
  if (!for_positions) {
    qkv->pack(type);
    return;
  }
  for (const auto& [packed, part] : {std::pair(&queries_, queries()), std::pair(&keys_values_, keys_values())}) {
    if (!packed->made_of(part.weight, type)) *packed = PackedProduct(part.weight, part.bias, type);
  }
}

CoBlockImpl::Part CoBlockImpl::queries() const {
  const int64_t width = qkv->weight.size(1);
  return {qkv->weight.narrow(0, 0, width), qkv->bias.narrow(0, 0, width)};
}

CoBlockImpl::Part CoBlockImpl::keys_values() const {
  const int64_t width = qkv->weight.size(1);
  return {qkv->weight.narrow(0, width, 2 * width), qkv->bias.narrow(0, width, 2 * width)};
}

at::Tensor CoBlockImpl::forward(const at::Tensor& x, const at::Tensor& bias) const {
  return mlp(x + out->forward(context(x, bias)));
}

at::Tensor CoBlockImpl::forward_rows(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& rows) const {
  const at::Tensor chosen = context(x, bias).flatten(0, 1).index_select(0, rows);
  return mlp(x.flatten(0, 1).index_select(0, rows) + out->forward(chosen));
}

at::Tensor CoBlockImpl::forward_positions(const at::Tensor& x, const at::Tensor& bias,
                                          const std::vector<int64_t>& positions) const {
  const auto at_positions = [&](const at::Tensor& all) {
    std::vector<at::Tensor> chosen;
    for (const int64_t position : positions) chosen.push_back(all.select(1, position));
    return at::stack(chosen, 1);
  };
  const auto product = [](const PackedProduct& packed, const Part& part, const at::Tensor& rows) {
    return packed.serves(part.weight) ? packed(rows) : at::linear(rows, part.weight, part.bias);
  };
  const at::Tensor y = norm_1->forward(x);
  const auto q = split_heads(product(queries_, queries(), at_positions(y)), 1, heads_);
  const auto kv = split_heads(product(keys_values_, keys_values(), y), 2, heads_);
  return mlp(at_positions(x) + out->forward(attend(q[0], kv[0], kv[1], bias, 0.0)));
}

at::Tensor CoStackImpl::forward(at::Tensor x, const at::Tensor& bias, size_t count) const {
  for (size_t i = 0; i < count; ++i) x = layers[i]->forward(x, bias);
  return x;
}

}  // namespace capture
