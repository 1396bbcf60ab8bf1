#include "capture/model/transformer.h"

#include <ATen/ATen.h>

#include "capture/model/attention.h"
#include "packed_add_norm.h"
#include "plain_form.h"
#include "recompute.h"

namespace capture {

namespace {

/// LayerNorm(x + dropout(added)).
at::Tensor add_and_normalise(const at::Tensor& x, const at::Tensor& added, const LayerNorm& norm, double dropout,
                             const Sequences& sequences) {
  if (own_kernels(sequences)) return packed_add_norm(x, added, norm->weight, norm->bias, sequences, dropout);
  return norm->forward(at::dropout(added, dropout, /*train=*/dropout > 0) + x);
}

}  // namespace

FeedForwardImpl::FeedForwardImpl(int64_t width, int64_t inner, double dropout)
    : up(register_module("up", Linear(width, inner))),
      down(register_module("down", Linear(inner, width))),
      norm(register_module("norm", LayerNorm(width))),
      dropout_(dropout) {}

at::Tensor FeedForwardImpl::forward(const at::Tensor& x, const Sequences& sequences) const {
  const at::Tensor added = down->forward(up->forward_gelu(x));
  return add_and_normalise(x, added, norm, is_training() ? dropout_ : 0.0, sequences);
}

TransformerLayerImpl::TransformerLayerImpl(const LayerOptions& options)
    : qkv(register_module("qkv", Linear(options.width, 3 * options.width))),
      out(register_module("out", Linear(options.width, options.width))),
      norm(register_module("norm", LayerNorm(options.width))),
      feed_forward(register_module("feed_forward", FeedForward(options.width, options.feed_forward, options.dropout))),
      options_(options) {}

at::Tensor TransformerLayerImpl::merge(const at::Tensor& x, const at::Tensor& context,
                                       const Sequences& sequences) const {
  const double dropout = is_training() ? options_.dropout : 0.0;
  return feed_forward->forward(add_and_normalise(x, out->forward(context), norm, dropout, sequences), sequences);
}

at::Tensor TransformerLayerImpl::forward(const at::Tensor& x, const Sequences& sequences) const {
  const double dropout = is_training() ? options_.attention_dropout : 0.0;
  return merge(x, self_attention(qkv->forward(x), sequences, options_.heads, dropout), sequences);
}

at::Tensor TransformerLayerImpl::forward_first(const at::Tensor& x, const Sequences& sequences) const {
  const double dropout = is_training() ? options_.attention_dropout : 0.0;
  const at::Tensor all = qkv->forward(x);
  const at::Tensor queries = first_of_each(all.narrow(1, 0, options_.width), sequences);
  const at::Tensor keys_values = all.narrow(1, options_.width, 2 * options_.width);
  return merge(first_of_each(x, sequences), attention_of_some(queries, keys_values, sequences, options_.heads, dropout),
               firsts_of(sequences));
}

at::Tensor StreamImpl::forward(at::Tensor x, const Sequences& sequences) const {
  for (const auto& layer : layers) x = forward_layer(recomputes, layer, x, sequences);
  return x;
}

at::Tensor StreamImpl::forward_first(at::Tensor x, const Sequences& sequences) const {
  if (layers.empty()) return first_of_each(x, sequences);
  for (size_t i = 0; i + 1 < layers.size(); ++i) x = forward_layer(recomputes, layers[i], x, sequences);
  return layers.back()->forward_first(x, sequences);
}

CrossSideImpl::CrossSideImpl(const LayerOptions& options, int64_t attention_width)
    : qkv(register_module("qkv", Linear(options.width, 3 * attention_width))),
      out(register_module("out", Linear(attention_width, options.width))),
      norm(register_module("norm", LayerNorm(options.width))),
      feed_forward(register_module("feed_forward", FeedForward(options.width, options.feed_forward, options.dropout))),
      options_(options) {}

at::Tensor CrossSideImpl::merge(const at::Tensor& x, const at::Tensor& context, const Sequences& sequences) const {
  const double dropout = is_training() ? options_.dropout : 0.0;
  return feed_forward->forward(add_and_normalise(x, out->forward(context), norm, dropout, sequences), sequences);
}

CrossLayerImpl::CrossLayerImpl(const CrossLayerOptions& options)
    : text(register_module("text", CrossSide(options.text, options.attention_width))),
      image(register_module("image", CrossSide(options.image, options.attention_width))),
      heads_(options.text.heads),
      attention_dropout_(options.text.attention_dropout) {}

std::pair<at::Tensor, at::Tensor> CrossLayerImpl::forward(const at::Tensor& text_states, const at::Tensor& regions,
                                                          const Sequences& text_sequences,
                                                          const Sequences& region_sequences) const {
  const auto [from_regions, from_text] =
      co_attention(text->qkv->forward(text_states), text_sequences, image->qkv->forward(regions), region_sequences,
                   heads_, is_training() ? attention_dropout_ : 0.0);
  return {text->merge(text_states, from_regions, text_sequences), image->merge(regions, from_text, region_sequences)};
}

std::pair<at::Tensor, at::Tensor> CrossStreamImpl::forward(at::Tensor text, at::Tensor regions,
                                                           const Sequences& text_sequences,
                                                           const Sequences& region_sequences) const {
  for (const auto& layer : layers) {
    const auto both = [=](const Tensors& sides) -> Tensors {
      const auto [left, right] = layer->forward(sides[0], sides[1], text_sequences, region_sequences);
      return {left, right};
    };
    const Tensors sides = recomputes ? recomputed(both, {text, regions}, layer->parameters()) : both({text, regions});
    text = sides[0];
    regions = sides[1];
  }
  return {text, regions};
}

}  // namespace capture
