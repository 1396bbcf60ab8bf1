#include "capture/model/transformer.h"

#include <ATen/ATen.h>

#include "capture/model/attention.h"

namespace capture {

namespace {

/// LayerNorm(x + dropout(added)).
at::Tensor add_and_normalise(const at::Tensor& x, const at::Tensor& added, const LayerNorm& norm, double dropout,
                             bool training) {
  return norm->forward(at::dropout(added, dropout, training) + x);
}

}  // namespace

FeedForwardImpl::FeedForwardImpl(int64_t width, int64_t inner, double dropout)
    : up(register_module("up", Linear(width, inner))),
      down(register_module("down", Linear(inner, width))),
      norm(register_module("norm", LayerNorm(width))),
      dropout_(dropout) {}

at::Tensor FeedForwardImpl::forward(const at::Tensor& x) const {
  const at::Tensor added = down->forward(up->forward_gelu(x));
  return add_and_normalise(x, added, norm, dropout_, is_training());
}

TransformerLayerImpl::TransformerLayerImpl(const LayerOptions& options)
    : qkv(register_module("qkv", Linear(options.width, 3 * options.width))),
      out(register_module("out", Linear(options.width, options.width))),
      norm(register_module("norm", LayerNorm(options.width))),
      feed_forward(register_module("feed_forward", FeedForward(options.width, options.feed_forward, options.dropout))),
      options_(options) {}

at::Tensor TransformerLayerImpl::merge(const at::Tensor& x, const at::Tensor& context) const {
  return feed_forward->forward(add_and_normalise(x, out->forward(context), norm, options_.dropout, is_training()));
}

at::Tensor TransformerLayerImpl::forward(const at::Tensor& x, const at::Tensor& bias) const {
  const auto heads = split_heads(qkv->forward(x), 3, options_.heads);
  return merge(x, attend(heads[0], heads[1], heads[2], bias, is_training() ? options_.attention_dropout : 0.0));
}

at::Tensor TransformerLayerImpl::forward_first(const at::Tensor& x, const at::Tensor& bias) const {
  const auto heads = split_heads(qkv->forward(x), 3, options_.heads);
  const double dropout = is_training() ? options_.attention_dropout : 0.0;
  return merge(x.narrow(1, 0, 1), attend(heads[0].narrow(2, 0, 1), heads[1], heads[2], bias, dropout));
}

at::Tensor StreamImpl::forward(at::Tensor x, const at::Tensor& bias) const {
  for (const auto& layer : layers) x = layer->forward(x, bias);
  return x;
}

at::Tensor StreamImpl::forward_first(at::Tensor x, const at::Tensor& bias) const {
  if (layers.empty()) return x.narrow(1, 0, 1);
  for (size_t i = 0; i + 1 < layers.size(); ++i) x = layers[i]->forward(x, bias);
  return layers.back()->forward_first(x, bias);
}

CrossSideImpl::CrossSideImpl(const LayerOptions& options, int64_t attention_width)
    : qkv(register_module("qkv", Linear(options.width, 3 * attention_width))),
      out(register_module("out", Linear(attention_width, options.width))),
      norm(register_module("norm", LayerNorm(options.width))),
      feed_forward(register_module("feed_forward", FeedForward(options.width, options.feed_forward, options.dropout))),
      options_(options) {}

std::vector<at::Tensor> CrossSideImpl::project(const at::Tensor& x) const {
  return split_heads(qkv->forward(x), 3, options_.heads);
}

at::Tensor CrossSideImpl::merge(const at::Tensor& x, const at::Tensor& context) const {
  return feed_forward->forward(add_and_normalise(x, out->forward(context), norm, options_.dropout, is_training()));
}

CrossLayerImpl::CrossLayerImpl(const CrossLayerOptions& options)
    : text(register_module("text", CrossSide(options.text, options.attention_width))),
      image(register_module("image", CrossSide(options.image, options.attention_width))),
      attention_dropout_(options.text.attention_dropout) {}

std::pair<at::Tensor, at::Tensor> CrossLayerImpl::forward(const at::Tensor& text_states, const at::Tensor& regions,
                                                          const at::Tensor& text_bias,
                                                          const at::Tensor& region_bias) const {
  const auto t = text->project(text_states);
  const auto r = image->project(regions);
  const double dropout = is_training() ? attention_dropout_ : 0.0;
  const at::Tensor from_text = attend(r[0], t[1], t[2], text_bias, dropout);
  const at::Tensor from_regions = attend(t[0], r[1], r[2], region_bias, dropout);
  return {text->merge(text_states, from_regions), image->merge(regions, from_text)};
}

std::pair<at::Tensor, at::Tensor> CrossStreamImpl::forward(at::Tensor text, at::Tensor regions,
                                                           const at::Tensor& text_bias,
                                                           const at::Tensor& region_bias) const {
  for (const auto& layer : layers) {
    std::tie(text, regions) = layer->forward(text, regions, text_bias, region_bias);
  }
  return {text, regions};
}

}  // namespace capture
