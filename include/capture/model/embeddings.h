// How tokens and regions enter their streams.
#pragma once

#include "capture/model/modules.h"
#include "capture/model/options.h"

namespace capture {

/// dropout(LayerNorm(word + position + type)); every token is of type 0.
class TextEmbeddingImpl : public torch::nn::Module {
 public:
  explicit TextEmbeddingImpl(const HybridStreamModelOptions& options);
  /// ids [B, T] int64, the place in a title being the column → [B · T, width].
  at::Tensor forward(const at::Tensor& ids) const;
  /// ids [rows] int64 and their places [rows] int64, below `longest` → [rows, width].
  at::Tensor forward_packed(const at::Tensor& ids, const at::Tensor& places, int64_t longest) const;

  Embedding word = nullptr;
  Embedding position = nullptr;
  Embedding type = nullptr;
  LayerNorm norm = nullptr;

 private:
  /// What the first `length` places add, [length, width].
  at::Tensor offsets(int64_t length) const;

  double dropout_;
};
TORCH_MODULE(TextEmbedding);

/// dropout(LayerNorm(Linear(feature) + Linear(location))).
class RegionEmbeddingImpl : public torch::nn::Module {
 public:
  explicit RegionEmbeddingImpl(const HybridStreamModelOptions& options);
  /// features [rows, D], locations [rows, 5] → [rows, width]. UserError when D is not the model's.
  at::Tensor forward(const at::Tensor& features, const at::Tensor& locations) const;

  Linear feature = nullptr;
  Linear location = nullptr;
  LayerNorm norm = nullptr;

 private:
  double dropout_;
};
TORCH_MODULE(RegionEmbedding);

}  // namespace capture
