// Post-LayerNorm transformer layers (BERT's form) for one modality, and the co-attention layers (ViLBERT's form) that
// join two.
#pragma once

#include <utility>

#include "capture/model/modules.h"
#include "capture/model/sequences.h"

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
  /// [rows, width] → the same shape
  at::Tensor forward(const at::Tensor& x, const Sequences& sequences) const;

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
  /// [rows, width] → the same shape
  at::Tensor forward(const at::Tensor& x, const Sequences& sequences) const;

  /// The first row of each sequence of forward(), → [B, width]: what follows the attention is computed for it alone.
  at::Tensor forward_first(const at::Tensor& x, const Sequences& sequences) const;

  Linear qkv = nullptr;  ///< queries, keys and values in one product
  Linear out = nullptr;
  LayerNorm norm = nullptr;
  FeedForward feed_forward = nullptr;

 private:
  /// x and what its queries read, added, normalised and fed forward.
  at::Tensor merge(const at::Tensor& x, const at::Tensor& context, const Sequences& sequences) const;

  LayerOptions options_;
};
TORCH_MODULE(TransformerLayer);

class StreamImpl : public StackImpl<TransformerLayer> {
 public:
  using StackImpl::StackImpl;
  at::Tensor forward(at::Tensor x, const Sequences& sequences) const;
  /// The first row of each sequence of forward(), → [B, width].
  at::Tensor forward_first(at::Tensor x, const Sequences& sequences) const;
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
  /// Adds what this side's queries read from the other side to x, then runs the feed-forward part: x [rows, width],
  /// context [rows, A] → [rows, width].
  at::Tensor merge(const at::Tensor& x, const at::Tensor& context, const Sequences& sequences) const;

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
  /// Rows of either side → the same shapes.
  std::pair<at::Tensor, at::Tensor> forward(const at::Tensor& text, const at::Tensor& regions,
                                            const Sequences& text_sequences, const Sequences& region_sequences) const;

  CrossSide text = nullptr;
  CrossSide image = nullptr;

 private:
  int64_t heads_;
  double attention_dropout_;
};
TORCH_MODULE(CrossLayer);

class CrossStreamImpl : public StackImpl<CrossLayer> {
 public:
  using StackImpl::StackImpl;
  std::pair<at::Tensor, at::Tensor> forward(at::Tensor text, at::Tensor regions, const Sequences& text_sequences,
                                            const Sequences& region_sequences) const;
};
TORCH_MODULE(CrossStream);

}  // namespace capture
