#include "capture/model/packed_product.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cmath>
#include <optional>
#include <string_view>

#include "capture/base/memory.h"
#include "matrix_product.h"
#include "plain_form.h"

namespace capture {

namespace {

// LibTorch's compiler calls oneDNN through these two operators; they are registered, not declared.
constexpr const char* kPack = "mkldnn::_reorder_linear_weight";
constexpr const char* kProduct = "mkldnn::_linear_pointwise";

using Product = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                           c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);

bool available() {
  static const bool found = at::hasMKLDNN() && c10::Dispatcher::singleton().findSchema({kPack, ""}) &&
                            c10::Dispatcher::singleton().findSchema({kProduct, ""});
  return found;
}

at::Tensor pack(const at::Tensor& weight) {
  std::vector<c10::IValue> stack = {weight, c10::IValue()};
  c10::Dispatcher::singleton().findSchemaOrThrow(kPack, "").callBoxed(stack);
  return stack.front().toTensor();
}

/// What products run in on the CPU just now.
at::ScalarType current_type() {
  return at::autocast::is_autocast_enabled(at::kCPU) ? at::autocast::get_autocast_dtype(at::kCPU) : at::kFloat;
}

const char* name_of(Activation activation) {
  return activation == Activation::gelu ? "gelu" : activation == Activation::silu ? "swish" : "none";
}

kernels::Finish finish_of(Activation activation) {
  return activation == Activation::gelu   ? kernels::Finish::gelu
         : activation == Activation::silu ? kernels::Finish::silu
                                          : kernels::Finish::none;
}

}  // namespace

void give_up(at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  const c10::Storage memory = weight.storage();
  weight.set_data(at::full({1}, NAN, weight.options().requires_grad(false)).expand(weight.sizes()));
  // Freed blocks stay with the process and are taken again where they happen to fit: how much of the copies lay in the
  // holes that weights left would be luck, which the length of the environment decides.
  if (memory.use_count() == 1 && memory.device().is_cpu()) return_pages(memory.mutable_data(), memory.nbytes());
}

PackedProduct::PackedProduct(const at::Tensor& weight, const at::Tensor& bias, at::ScalarType type, double scale,
                             double bias_scale) {
  if (!weight.device().is_cpu() || !(kernels::has_panel_product() || available())) return;
  const at::NoGradGuard no_grad;
  const auto scaled = [&](const at::Tensor& tensor, double factor) {
    return (factor == 1.0 ? tensor.detach() : tensor.detach() * factor).to(type).contiguous();
  };
  if (kernels::has_panel_product()) {
    weight_ = laid_out_columns({{}, rows_of(weight), weight.size(1), type == at::kBFloat16, {}});
    bias_ = (bias.detach() * bias_scale).to(at::kFloat);
    scale_ = scale;
  } else {
    weight_ = pack(scaled(weight, scale));
    bias_ = scaled(bias, bias_scale);
  }
  inputs_ = weight.size(1);
  type_ = type;
  source_ = weight.const_data_ptr();
  version_ = weight._version();
}

bool PackedProduct::made_of(const at::Tensor& weight, at::ScalarType type) const {
  return weight_.defined() && type_ == type && weight.const_data_ptr() == source_ && weight._version() == version_;
}

void PackedProduct::give_up(at::Tensor& weight) {
  if (!made_of(weight, type_)) return;
  capture::give_up(weight);
  take_place_of(weight);
}

void PackedProduct::take_place_of(const at::Tensor& weight) {
  source_ = weight.const_data_ptr();
  version_ = weight._version();
}

bool PackedProduct::serves(const at::Tensor& weight) const {
  return !PlainForm::wanted() && !at::GradMode::is_enabled() && made_of(weight, current_type());
}

at::Tensor PackedProduct::operator()(const at::Tensor& x, Activation activation) const {
  if (kernels::has_panel_product()) return by_panels(x, activation);
  static const auto product = c10::Dispatcher::singleton().findSchemaOrThrow(kProduct, "").typed<Product>();
  // "none" chooses the exact form of GELU; the other activations take no algorithm.
  const char* const algorithm = activation == Activation::gelu ? "none" : "";
  return product.call(x.to(type_), weight_, bias_, name_of(activation), c10::List<std::optional<at::Scalar>>(),
                      algorithm);
}

at::Tensor PackedProduct::by_panels(const at::Tensor& x, Activation activation) const {
  const at::Tensor rows = x.reshape({-1, inputs_}).contiguous();
  const int64_t outputs = bias_.size(0);
  const at::Tensor y = at::empty({rows.size(0), outputs}, x.options().dtype(type_));
  kernels::Result result = into(y, scale_);
  result.bias = bias_.const_data_ptr<float>();
  result.finish = finish_of(activation);
  const kernels::Factor columns = {
      .data = nullptr, .bfloat16 = false, .line_wise = true, .stride = 0, .lines = outputs};
  run_product("capture::product.forward", {rows_of(rows), columns, inputs_, type_ == at::kBFloat16, result}, weight_);
  if (x.dim() == 2) return y;
  auto sizes = x.sizes().vec();
  sizes.back() = outputs;
  return y.view(sizes);
}

}  // namespace capture
