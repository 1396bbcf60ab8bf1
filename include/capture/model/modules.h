// The parameter-holding leaves of the model. Unlike torch::nn's they leave their parameters uninitialised, because
// every parameter is written exactly once, by initialise() or from a file: at full size that saves seconds at every
// start.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <string>
#include <vector>

#include "capture/model/packed_product.h"

namespace capture {

/// Added to the variance in every LayerNorm.
inline constexpr double kLayerNormEpsilon = 1e-12;

/// y = x Wᵀ + b.
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t inputs, int64_t outputs);
  /// [..., inputs] → [..., outputs]
  at::Tensor forward(const at::Tensor& x) const;
  /// GELU of forward().
  at::Tensor forward_gelu(const at::Tensor& x) const;

  /// From now on products without gradients go through a packed copy of the weights, until these change.
  void pack(at::ScalarType type, PackedWeights weights = PackedWeights::kept);
  /// Gives the copy up.
  void unpack() { packed_ = {}; }

  at::Tensor weight;  ///< [outputs, inputs]
  at::Tensor bias;    ///< [outputs]

 private:
  PackedProduct packed_;
};
TORCH_MODULE(Linear);

/// LayerNorm over the last dimension.
class LayerNormImpl : public torch::nn::Module {
 public:
  explicit LayerNormImpl(int64_t width);
  at::Tensor forward(const at::Tensor& x) const;

  at::Tensor weight;  ///< [width]
  at::Tensor bias;    ///< [width]
};
TORCH_MODULE(LayerNorm);

/// A table of rows.
class EmbeddingImpl : public torch::nn::Module {
 public:
  EmbeddingImpl(int64_t rows, int64_t width);
  /// ids [...] int64 → [..., width]
  at::Tensor forward(const at::Tensor& ids) const;

  at::Tensor weight;  ///< [rows, width]
};
TORCH_MODULE(Embedding);

/// Modules of one kind in a row, registered as "0", "1", …
template <class Layer>
class StackImpl : public torch::nn::Module {
 public:
  template <class Options>
  StackImpl(int64_t count, const Options& options) {
    for (int64_t i = 0; i < count; ++i) layers.push_back(register_module(std::to_string(i), Layer(options)));
  }

  bool empty() const { return layers.empty(); }

  std::vector<Layer> layers;
  bool recomputes = false;  ///< in training, keep each layer's inputs alone; see Recompute
};

}  // namespace capture
