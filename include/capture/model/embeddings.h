// How tokens and regions enter their streams.
#pragma once

#include "capture/model/modules.h"
#include "capture/model/options.h"
#include "capture/model/sequences.h"

namespace capture {

/// dropout(LayerNorm(word + position + type)); every token is of type 0.
class TextEmbeddingImpl : public torch::nn::Module {
 public:
  explicit TextEmbeddingImpl(const HybridStreamModelOptions& options);
  /// ids [B, T] int64, the place in a title being the column → [B · T, width].
  at::Tensor forward(const at::Tensor& ids) const;
  /// ids [rows] int64, of packed sequences, and their places in these [rows] int64 → [rows, width].
  at::Tensor forward_packed(const at::Tensor& ids, const at::Tensor& places, const Sequences& sequences) const;

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
  at::Tensor forward(const at::Tensor& features, const at::Tensor& locations, const Sequences& sequences) const;

  Linear feature = nullptr;
  Linear location = nullptr;
  LayerNorm norm = nullptr;

 private:
  double dropout_;
};
TORCH_MODULE(RegionEmbedding);

}  // namespace capture
