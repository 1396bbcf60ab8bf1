// Post-LayerNorm transformer layers (BERT's form) for one modality, and the co-attention layers (ViLBERT's form) that
// join two.
#pragma once

#include <utility>

#include "capture/model/modules.h"

namespace capture {

/// What every post-LayerNorm layer shares.
struct LayerOptions {
  int64_t width;
  int64_t heads;
  int64_t feed_forward;
  double dropout;            ///< of what is added to the stream
  double attention_dropout;  ///< of attention weights
};

/// LayerNorm(x + dropout(down(GELU(up(x))))).
class FeedForwardImpl : public torch::nn::Module {
 public:
  FeedForwardImpl(int64_t width, int64_t inner, double dropout);
  /// [..., width] → the same shape
  at::Tensor forward(const at::Tensor& x) const;

  Linear up = nullptr;
  Linear down = nullptr;
  LayerNorm norm = nullptr;

 private:
  double dropout_;
};
TORCH_MODULE(FeedForward);

/// Self-attention and feed-forward, each added to the stream and normalised.
class TransformerLayerImpl : public torch::nn::Module {
 public:
  explicit TransformerLayerImpl(const LayerOptions& options);
  /// x [B, N, width]; bias [B, 1, 1, N] or undefined (see padding_bias) → [B, N, width]
  at::Tensor forward(const at::Tensor& x, const at::Tensor& bias) const;

  /// Position 0 of forward(), → [B, 1, width]: what follows the attention is computed for it alone.
  at::Tensor forward_first(const at::Tensor& x, const at::Tensor& bias) const;

  Linear qkv = nullptr;  ///< queries, keys and values in one product
  Linear out = nullptr;
  LayerNorm norm = nullptr;
  FeedForward feed_forward = nullptr;

 private:
  /// x and what its queries read, added, normalised and fed forward.
  at::Tensor merge(const at::Tensor& x, const at::Tensor& context) const;

  LayerOptions options_;
};
TORCH_MODULE(TransformerLayer);

class StreamImpl : public StackImpl<TransformerLayer> {
 public:
  using StackImpl::StackImpl;
  at::Tensor forward(at::Tensor x, const at::Tensor& bias) const;
  /// Position 0 of forward(), → [B, 1, width].
  at::Tensor forward_first(at::Tensor x, const at::Tensor& bias) const;
};
TORCH_MODULE(Stream);

struct CrossLayerOptions {
  LayerOptions text;  ///< heads and attention_dropout are the layer's, and the same on both sides
  LayerOptions image;
  int64_t attention_width;  ///< of queries, keys and values
};

/// One modality's half of a co-attention layer.
class CrossSideImpl : public torch::nn::Module {
 public:
  CrossSideImpl(const LayerOptions& options, int64_t attention_width);
  /// x [B, N, width] → queries, keys and values [B, heads, N, d]
  std::vector<at::Tensor> project(const at::Tensor& x) const;
  /// Adds what this side's queries read from the other side to x, then runs the feed-forward part. context [B, N, A].
  at::Tensor merge(const at::Tensor& x, const at::Tensor& context) const;

  Linear qkv = nullptr;
  Linear out = nullptr;
  LayerNorm norm = nullptr;
  FeedForward feed_forward = nullptr;

 private:
  LayerOptions options_;
};
TORCH_MODULE(CrossSide);

/// Text queries attend to regions, region queries to text; each context goes into its own stream. Both directions use
/// the same projections, so keys and values are computed once a side.
class CrossLayerImpl : public torch::nn::Module {
 public:
  explicit CrossLayerImpl(const CrossLayerOptions& options);
  /// text [B, T, width], regions [B, R, width]; the biases hide each side's padding from the other's queries.
  std::pair<at::Tensor, at::Tensor> forward(const at::Tensor& text, const at::Tensor& regions,
                                            const at::Tensor& text_bias, const at::Tensor& region_bias) const;

  CrossSide text = nullptr;
  CrossSide image = nullptr;

 private:
  double attention_dropout_;
};
TORCH_MODULE(CrossLayer);

class CrossStreamImpl : public StackImpl<CrossLayer> {
 public:
  using StackImpl::StackImpl;
  std::pair<at::Tensor, at::Tensor> forward(at::Tensor text, at::Tensor regions, const at::Tensor& text_bias,
                                            const at::Tensor& region_bias) const;
};
TORCH_MODULE(CrossStream);

}  // namespace capture
