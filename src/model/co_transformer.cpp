#include "capture/model/co_transformer.h"

#include <ATen/ATen.h>

#include "capture/model/attention.h"

namespace capture {

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
  constexpr double kSlope = 1.702;
  const at::Tensor rows = norm_2->forward(x).flatten(0, -2);
  const at::Tensor inner = at::silu(at::addmm(up->bias, rows, up->weight.t(), kSlope, kSlope));
  return x + at::addmm(down->bias, inner, down->weight.t(), 1.0, 1.0 / kSlope).view(x.sizes());
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
  const int64_t width = x.size(2);
  const at::Tensor y = norm_1->forward(x);
  const auto part = [&](const at::Tensor& tensor, int64_t first, int64_t count) {
    return tensor.narrow(0, first * width, count * width);
  };
  const at::Tensor queries = at::linear(at_positions(y), part(qkv->weight, 0, 1), part(qkv->bias, 0, 1));
  const at::Tensor pairs = at::linear(y, part(qkv->weight, 1, 2), part(qkv->bias, 1, 2));
  const auto q = split_heads(queries, 1, heads_);
  const auto kv = split_heads(pairs, 2, heads_);
  return mlp(at_positions(x) + out->forward(attend(q[0], kv[0], kv[1], bias, 0.0)));
}

at::Tensor CoStackImpl::forward(at::Tensor x, const at::Tensor& bias, size_t count) const {
  for (size_t i = 0; i < count; ++i) x = layers[i]->forward(x, bias);
  return x;
}

}  // namespace capture
