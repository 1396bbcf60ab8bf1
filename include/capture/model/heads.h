// The heads of masked-token and masked-region prediction.
#pragma once

#include "capture/model/modules.h"
#include "capture/model/options.h"

namespace capture {

/// LayerNorm(GELU(dense(expand(x)))): from an output [M, projection_width] back to the streams' width, [M, width].
class PredictionTransformImpl : public torch::nn::Module {
 public:
  explicit PredictionTransformImpl(const HybridStreamModelOptions& options);
  at::Tensor forward(const at::Tensor& x) const;

  Linear expand = nullptr;
  Linear dense = nullptr;
  LayerNorm norm = nullptr;
};
TORCH_MODULE(PredictionTransform);

/// Scores over the vocabulary; the decoder is the word embedding itself plus a bias.
class TokenHeadImpl : public torch::nn::Module {
 public:
  explicit TokenHeadImpl(const HybridStreamModelOptions& options);
  /// x [M, projection_width], word embedding [V, width] → [M, V]
  at::Tensor forward(const at::Tensor& x, const at::Tensor& word_embedding) const;

  PredictionTransform transform = nullptr;
  at::Tensor bias;  ///< [V]
};
TORCH_MODULE(TokenHead);

/// A region's feature, or its scores over detector classes.
class RegionHeadImpl : public torch::nn::Module {
 public:
  explicit RegionHeadImpl(const HybridStreamModelOptions& options);
  /// x [K, projection_width] → [K, region_prediction_width]
  at::Tensor forward(const at::Tensor& x) const;

  PredictionTransform transform = nullptr;
  Linear decoder = nullptr;
};
TORCH_MODULE(RegionHead);

}  // namespace capture
