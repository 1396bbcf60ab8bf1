#include "capture/model/heads.h"

#include <ATen/ATen.h>

#include "linear_product.h"

namespace capture {

PredictionTransformImpl::PredictionTransformImpl(const HybridStreamModelOptions& options)
    : expand(register_module("expand", Linear(options.projection_width, options.width))),
      dense(register_module("dense", Linear(options.width, options.width))),
      norm(register_module("norm", LayerNorm(options.width))) {}

at::Tensor PredictionTransformImpl::forward(const at::Tensor& x) const {
  return norm->forward(at::gelu(dense->forward(expand->forward(x))));
}

TokenHeadImpl::TokenHeadImpl(const HybridStreamModelOptions& options)
    : transform(register_module("transform", PredictionTransform(options))),
      bias(register_parameter("bias", at::empty({options.vocabulary_size}))) {}

at::Tensor TokenHeadImpl::forward(const at::Tensor& x, const at::Tensor& word_embedding) const {
  return linear_product(transform->forward(x), word_embedding, bias);
}

RegionHeadImpl::RegionHeadImpl(const HybridStreamModelOptions& options)
    : transform(register_module("transform", PredictionTransform(options))),
      decoder(register_module("decoder", Linear(options.width, options.region_prediction_width()))) {}

at::Tensor RegionHeadImpl::forward(const at::Tensor& x) const {
  return decoder->forward(transform->forward(x));
}

}  // namespace capture
