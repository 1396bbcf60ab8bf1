#include "recompute.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "capture/tensor/device.h"
#include "half_product.h"
#include "plain_form.h"

namespace capture {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Autocast keeps the bfloat16 copies of weights that it makes, each with its place in the graph. Those of the first
/// run belong to a graph that is gone, and must not be found by the second.
class NoAutocastCache {
 public:
  NoAutocastCache() : was_enabled_(at::autocast::is_autocast_cache_enabled()) {
    at::autocast::set_autocast_cache_enabled(false);
  }
  ~NoAutocastCache() { at::autocast::set_autocast_cache_enabled(was_enabled_); }
  NoAutocastCache(const NoAutocastCache&) = delete;
  NoAutocastCache& operator=(const NoAutocastCache&) = delete;

 private:
  bool was_enabled_;
};

/// LibTorch's generator of a device: what dropout draws from.
class GeneratorState {
 public:
  explicit GeneratorState(at::Device device) : generator_(at::globalContext().defaultGenerator(device)) {
    const std::lock_guard<std::mutex> lock(generator_.mutex());
    state_ = generator_.get_state();
  }
  void restore() const {
    at::Generator generator = generator_;
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(state_);
  }

 private:
  at::Generator generator_;
  at::Tensor state_;
};

/// The same values at the start of a graph of their own.
Tensors detached(at::TensorList tensors) {
  Tensors own;
  for (const auto& tensor : tensors) own.push_back(tensor.detach().requires_grad_(tensor.requires_grad()));
  return own;
}

/// A layer and what it needs to run twice in the same way.
struct Layer : torch::CustomClassHolder {
  Layer(std::function<Tensors(const Tensors&)> function, at::Device where)
      : layer(std::move(function)),
        device(where),
        generator(where),
        precision(at::autocast::is_autocast_enabled(where.type()) ? Precision::bfloat16 : Precision::float32),
        plain(PlainForm::wanted()),
        halves(HalfWeights::current()) {}

  /// Keeps a graph, the first time too, although that one is thrown away: what layers do may depend on whether
  /// anybody asks for gradients.
  Tensors run(const Tensors& inputs) const {
    const at::AutoGradMode gradients(true);
    const AutocastScope autocast(device, precision);
    const NoAutocastCache no_cache;
    std::optional<PlainForm> in_plain_form;
    if (plain) in_plain_form.emplace();
    const HalfWeights in_halves(halves);
    return layer(inputs);
  }

  Tensors run_again(const Tensors& inputs) const {
    const GeneratorState now(device);
    generator.restore();
    Tensors outputs = run(inputs);
    now.restore();
    return outputs;
  }

  std::function<Tensors(const Tensors&)> layer;
  at::Device device;
  GeneratorState generator;
  Precision precision;
  bool plain;
  std::shared_ptr<const HalfWeights::Copies> halves;
};

struct RecomputeFunction : torch::autograd::Function<RecomputeFunction> {
  static variable_list forward(AutogradContext* context, const std::function<Tensors(const Tensors&)>& function,
                               at::TensorList inputs, at::TensorList parameters) {
    const auto layer = c10::make_intrusive<Layer>(function, inputs.front().device());
    variable_list sources = inputs.vec();
    sources.insert(sources.end(), parameters.begin(), parameters.end());
    context->save_for_backward(std::move(sources));
    context->saved_data["inputs"] = static_cast<int64_t>(inputs.size());
    context->saved_data["layer"] = at::IValue::make_capsule(layer);
    Tensors outputs = layer->run(detached(inputs));
    for (auto& output : outputs) output = output.detach();
    return outputs;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto capsule = context->saved_data["layer"].toCapsule();
    const auto& layer = static_cast<const Layer&>(*capsule);
    const auto count = static_cast<size_t>(context->saved_data["inputs"].toInt());
    variable_list sources = context->get_saved_variables();
    const Tensors inputs = detached(at::TensorList(sources).slice(0, count));
    const Tensors outputs = layer.run_again(inputs);
    std::ranges::copy(inputs, sources.begin());

    variable_list wanted;
    std::ranges::copy_if(sources, std::back_inserter(wanted), &at::Tensor::requires_grad);
    const variable_list found = torch::autograd::grad(outputs, wanted, gradients, /*retain_graph=*/false,
                                                      /*create_graph=*/false, /*allow_unused=*/true);
    variable_list result(1);  // none for the function
    auto next = found.begin();
    for (const auto& source : sources) result.push_back(source.requires_grad() ? *next++ : at::Tensor());
    return result;
  }
};

}  // namespace

Tensors recomputed(const std::function<Tensors(const Tensors&)>& layer, const Tensors& inputs,
                   const Tensors& parameters) {
  const auto wants = [](const Tensors& tensors) {
    return std::ranges::any_of(tensors, [](const auto& tensor) { return tensor.requires_grad(); });
  };
  if (!at::GradMode::is_enabled() || !(wants(inputs) || wants(parameters))) return layer(inputs);
  // As lists of tensors: in a std::vector LibTorch would not look for variables.
  return RecomputeFunction::apply(layer, at::TensorList(inputs), at::TensorList(parameters));
}

}  // namespace capture
