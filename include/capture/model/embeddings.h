// How tokens and regions enter their streams.
#pragma once

#include "capture/model/modules.h"
#include "capture/model/options.h"

namespace capture {

/// dropout(LayerNorm(word + position + type)); every token is of type 0.
class TextEmbeddingImpl : public torch::nn::Module {
 public:
  explicit TextEmbeddingImpl(const HybridStreamModelOptions& options);
  /// ids [B, T] int64 → [B, T, width].
  at::Tensor forward(const at::Tensor& ids) const;

  Embedding word = nullptr;
  Embedding position = nullptr;
  Embedding type = nullptr;
  LayerNorm norm = nullptr;

 private:
  double dropout_;
};
TORCH_MODULE(TextEmbedding);

/// dropout(LayerNorm(Linear(feature) + Linear(location))).
class RegionEmbeddingImpl : public torch::nn::Module {
 public:
  explicit RegionEmbeddingImpl(const HybridStreamModelOptions& options);
  /// features [B, 1 + R, D], locations [B, 1 + R, 5] → [B, 1 + R, width]. UserError when D is not the model's.
  at::Tensor forward(const at::Tensor& features, const at::Tensor& locations) const;

  Linear feature = nullptr;
  Linear location = nullptr;
  LayerNorm norm = nullptr;

 private:
  double dropout_;
};
TORCH_MODULE(RegionEmbedding);

}  // namespace capture
