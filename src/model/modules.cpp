#include "capture/model/modules.h"

#include <ATen/ATen.h>

#include "linear_product.h"

namespace capture {

LinearImpl::LinearImpl(int64_t inputs, int64_t outputs)
    : weight(register_parameter("weight", at::empty({outputs, inputs}))),
      bias(register_parameter("bias", at::empty({outputs}))) {}

at::Tensor LinearImpl::forward(const at::Tensor& x) const {
  return packed_.serves(weight) ? packed_(x) : linear_product(x, weight, bias);
}

at::Tensor LinearImpl::forward_gelu(const at::Tensor& x) const {
  return packed_.serves(weight) ? packed_(x, Activation::gelu) : at::gelu(linear_product(x, weight, bias));
}

void LinearImpl::pack(at::ScalarType type, PackedWeights weights) {
  if (!packed_.made_of(weight, type)) packed_ = PackedProduct(weight, bias, type);
  if (weights == PackedWeights::given_up) packed_.give_up(weight);
}

LayerNormImpl::LayerNormImpl(int64_t width)
    : weight(register_parameter("weight", at::empty({width}))), bias(register_parameter("bias", at::empty({width}))) {}

at::Tensor LayerNormImpl::forward(const at::Tensor& x) const {
  return at::layer_norm(x, weight.sizes(), weight, bias, kLayerNormEpsilon);
}

EmbeddingImpl::EmbeddingImpl(int64_t rows, int64_t width)
    : weight(register_parameter("weight", at::empty({rows, width}))) {}

at::Tensor EmbeddingImpl::forward(const at::Tensor& ids) const {
  return at::embedding(weight, ids);
}

}  // namespace capture
