// Layers that are computed again in the backward pass, so that nothing but their inputs waits for it in memory (Chen et
// al., "Training Deep Nets with Sublinear Memory Cost", 2016).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace capture {

using Tensors = std::vector<at::Tensor>;

/// layer(inputs). While gradients are on, nothing is kept of the layer's run but the inputs, and it runs a second time
/// in the backward pass: with the same dropout and under the same autocast, so that outputs and gradients are those of
/// the plain call, on a CPU bit for bit. Gradients reach `parameters` through the graph around the call, once, as in a
/// plain call. Of all tensors that `layer` reads, only `inputs` and `parameters` may want a gradient.
Tensors recomputed(const std::function<Tensors(const Tensors&)>& layer, const Tensors& inputs,
                   const Tensors& parameters);

/// layer->forward(x, more…), recomputed when `again` says so.
template <class Layer, class... More>
at::Tensor forward_layer(bool again, const Layer& layer, const at::Tensor& x, const More&... more) {
  if (!again) return layer->forward(x, more...);
  const auto run = [=](const Tensors& inputs) -> Tensors { return {layer->forward(inputs[0], more...)}; };
  return recomputed(run, {x}, layer->parameters()).front();
}

}  // namespace capture
