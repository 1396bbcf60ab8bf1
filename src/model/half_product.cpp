#include "half_product.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "capture/model/hybrid_stream.h"
#include "plain_form.h"

namespace capture {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local std::shared_ptr<const HalfWeights::Copies> copies_in_scope;

/// a b, of bfloat16, summed up and given in `type`.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, at::ScalarType type) {
  if (type == a.scalar_type()) return at::mm(a, b);
  return a.is_cuda() ? at::mm(a, b, type) : at::mm(a.to(type), b.to(type));
}

at::Tensor scaled(at::Tensor tensor, double scale) {
  return scale == 1.0 ? tensor : tensor.mul_(scale);
}

struct HalfProduct : torch::autograd::Function<HalfProduct> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const ProductWeight& half_weight, const ProductWeight& half_bias) {
    const at::Tensor half_x = x.to(at::kBFloat16);
    context->save_for_backward({half_x, half_weight.values});
    context->saved_data["x"] = x.scalar_type();
    context->saved_data["weight"] = weight.scalar_type();
    context->saved_data["bias"] = bias.scalar_type();
    context->saved_data["scale"] = half_weight.scale;
    context->saved_data["bias_scale"] = half_bias.scale;
    return at::addmm(half_bias.values, half_x, half_weight.values.t());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &gradient = gradients[0];
    const auto type = [&](const char* of) { return context->saved_data[of].toScalarType(); };
    at::Tensor x_gradient, weight_gradient, bias_gradient;
    if (context->needs_input_grad(0)) x_gradient = product(gradient, weight, type("x"));
    if (context->needs_input_grad(1)) {
      weight_gradient = scaled(product(gradient.t(), x, type("weight")), context->saved_data["scale"].toDouble());
    }
    if (context->needs_input_grad(2)) {
      bias_gradient =
          scaled(gradient.sum(0, /*keepdim=*/false, type("bias")), context->saved_data["bias_scale"].toDouble());
    }
    return {x_gradient, weight_gradient, bias_gradient, {}, {}};
  }
};

}  // namespace

std::shared_ptr<const HalfWeights::Copies> HalfWeights::copies_of(const std::vector<ProductWeight>& weights) {
  const at::NoGradGuard no_gradient;
  auto copies = std::make_shared<Copies>();
  std::vector<at::Tensor> halves, as_they_are;
  for (const auto& [values, scale] : weights) {
    at::Tensor half = at::empty_like(values, values.options().dtype(at::kBFloat16).requires_grad(false));
    copies->emplace(values.unsafeGetTensorImpl(), ProductWeight{half, scale});
    if (scale != 1.0) {
      at::mul_out(half, values, at::scalar_tensor(scale));  // rounds once
    } else {
      halves.push_back(half);
      as_they_are.push_back(values);
    }
  }
  if (!halves.empty()) at::_foreach_copy_(halves, as_they_are);
  return copies;
}

HalfWeights::HalfWeights(std::shared_ptr<const Copies> copies)
    : before_(std::exchange(copies_in_scope, std::move(copies))) {}

HalfWeights::~HalfWeights() {
  copies_in_scope = std::move(before_);
}

const std::shared_ptr<const HalfWeights::Copies>& HalfWeights::current() {
  return copies_in_scope;
}

at::Tensor half_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double scale,
                        double bias_scale) {
  if (!copies_in_scope) return {};
  const auto copy_of = [](const at::Tensor& tensor, double at_scale) -> const ProductWeight* {
    const auto found = copies_in_scope->find(tensor.unsafeGetTensorImpl());
    return found != copies_in_scope->end() && found->second.scale == at_scale ? &found->second : nullptr;
  };
  const ProductWeight* const half_weight = copy_of(weight, scale);
  const ProductWeight* const half_bias = copy_of(bias, bias_scale);
  if (half_weight == nullptr || half_bias == nullptr) return {};
  const auto rows = x.dim() == 2 ? x : x.reshape({-1, x.size(-1)});
  const at::Tensor y = HalfProduct::apply(rows, weight, bias, *half_weight, *half_bias);
  if (x.dim() == 2) return y;
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return y.view(sizes);
}

std::vector<ProductWeight> weights_of_products(const HybridStreamModelImpl& model) {
  std::unordered_map<const LinearImpl*, std::pair<double, double>> scales;  // of weight and bias, where they are not 1
  for (const auto& block : model.co_transformer->layers) {
    scales[block->up.get()] = {kQuickGeluSlope, kQuickGeluSlope};
    scales[block->down.get()] = {1.0 / kQuickGeluSlope, 1.0};
  }
  std::vector<ProductWeight> weights = {{model.text_embedding->word->weight}, {model.token_head->bias}};
  for (const auto& module : model.modules()) {
    const auto* const linear = dynamic_cast<const LinearImpl*>(module.get());
    if (linear == nullptr) continue;
    const auto found = scales.find(linear);
    const auto [scale, bias_scale] = found == scales.end() ? std::pair(1.0, 1.0) : found->second;
    weights.insert(weights.end(), {{linear->weight, scale}, {linear->bias, bias_scale}});
  }
  return weights;
}

std::shared_ptr<const HalfWeights::Copies> half_weights(const HybridStreamModelImpl& model, at::Device device) {
  if (device.is_cpu() || !at::GradMode::is_enabled() || PlainForm::wanted()) return nullptr;
  if (!at::autocast::is_autocast_enabled(device.type()) ||
      at::autocast::get_autocast_dtype(device.type()) != at::kBFloat16) {
    return nullptr;
  }
  return HalfWeights::copies_of(weights_of_products(model));
}

}  // namespace capture
