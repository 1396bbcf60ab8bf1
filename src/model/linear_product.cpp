#include "linear_product.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "half_product.h"
#include "matrix_product.h"
#include "plain_form.h"

namespace capture {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Products of bfloat16 are asked for by autocast.
bool products_in_half() {
  return at::autocast::is_autocast_enabled(at::kCPU) && at::autocast::get_autocast_dtype(at::kCPU) == at::kBFloat16;
}

struct LinearProduct : torch::autograd::Function<LinearProduct> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, double scale, double bias_scale, bool half) {
    const at::Tensor y =
        at::empty({x.size(0), weight.size(0)}, weight.options().dtype(half ? at::kBFloat16 : at::kFloat));
    kernels::Result result = into(y, scale);
    result.bias = bias.const_data_ptr<float>();
    result.bias_scale = static_cast<float>(bias_scale);
    run_product("capture::product.forward", {rows_of(x), rows_of(weight), x.size(1), half, result});
    context->save_for_backward({x, weight});
    context->saved_data["scale"] = scale;
    context->saved_data["bias_scale"] = bias_scale;
    context->saved_data["half"] = half;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor y_gradient = gradients[0].contiguous();
    const double scale = context->saved_data["scale"].toDouble();
    const bool half = context->saved_data["half"].toBool();
    at::Tensor x_gradient, weight_gradient, bias_gradient;
    if (context->needs_input_grad(0)) {
      x_gradient = at::empty(x.sizes(), x.options());
      run_product("capture::product.input_gradient",
                  {rows_of(y_gradient), columns_of(weight), weight.size(0), half, into(x_gradient, scale)});
    }
    const bool wants_bias = context->needs_input_grad(2);
    if (context->needs_input_grad(1)) {
      // Laying the gradient out passes over all of it anyway: the bias's is summed on the way.
      weight_gradient = at::empty(weight.sizes(), weight.options());
      kernels::Result result = into(weight_gradient, scale);
      result.passing = true;  // until the optimiser comes
      if (wants_bias) bias_gradient = at::empty({weight.size(0)}, weight.options());
      run_product("capture::product.weight_gradient", {columns_of(y_gradient), columns_of(x), x.size(0), half, result},
                  {}, wants_bias ? bias_gradient.mutable_data_ptr<float>() : nullptr);
    } else if (wants_bias) {
      bias_gradient = y_gradient.sum(0, /*keepdim=*/false, at::kFloat);
    }
    const double bias_scale = context->saved_data["bias_scale"].toDouble();
    if (wants_bias && bias_scale != 1.0) bias_gradient *= bias_scale;
    return {x_gradient, weight_gradient, bias_gradient, {}, {}, {}};
  }
};

bool is_number(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
}

}  // namespace

at::Tensor plain_linear_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double scale,
                                double bias_scale) {
  if (scale == 1.0 && bias_scale == 1.0) return at::linear(x, weight, bias);
  return at::addmm(bias, x, weight.t(), bias_scale, scale);
}

at::Tensor linear_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double scale,
                          double bias_scale) {
  if (const at::Tensor y = half_product(x, weight, bias, scale, bias_scale); y.defined()) return y;
  const bool ours = x.is_cpu() && is_number(x) && weight.scalar_type() == at::kFloat && kernels::has_panel_product() &&
                    !PlainForm::wanted();
  if (!ours) return plain_linear_product(x, weight, bias, scale, bias_scale);
  const auto rows = x.reshape({-1, x.size(-1)}).contiguous();
  const at::Tensor y = LinearProduct::apply(rows, weight, bias, scale, bias_scale, products_in_half());
  if (x.dim() == 2) return y;
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return y.view(sizes);
}

}  // namespace capture
