#include "number_watch.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <string_view>

namespace capture {

namespace {

// LibTorch's callbacks are plain functions: they can reach nothing but this.
NumberWatch* watching = nullptr;

void collect(const c10::IValue& value, std::vector<at::Tensor>& tensors) {
  if (value.isTensor() && value.toTensor().defined()) tensors.push_back(value.toTensor());
  if (!value.isTensorList()) return;
  for (const at::Tensor& tensor : value.toTensorVector()) {
    if (tensor.defined()) tensors.push_back(tensor);
  }
}

template <class Values>
std::vector<at::Tensor> tensors_of(const Values& values) {
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& value : values) collect(value, tensors);
  return tensors;
}

/// Memory that nobody has filled yet may hold anything.
bool is_unfilled(std::string_view operation) {
  return operation.starts_with("empty") || operation.starts_with("new_empty");
}

/// Minus infinity stands for "not this one" in masks and what is made of them; where products give it, it is no mask.
bool is_product(std::string_view operation) {
  constexpr std::array<std::string_view, 7> kProducts = {"linear", "addmm",     "mm",        "matmul",
                                                         "bmm",    "embedding", "layer_norm"};
  return std::ranges::find(kProducts, operation) != kProducts.end();
}

bool is_bad(const at::Tensor& tensor, bool product) {
  if (!tensor.is_floating_point() || tensor.numel() == 0) return false;
  const at::NoGradGuard no_gradient;
  const at::Tensor values = tensor.detach();
  if (product) return !at::isfinite(values).all().item<bool>();
  return at::isnan(values).logical_or_(values == std::numeric_limits<double>::infinity()).any().item<bool>();
}

}  // namespace

struct NumberWatchCallbacks {
  static std::unique_ptr<at::ObserverContext> start(const at::RecordFunction& record) {
    const at::DisableRecordFunctionGuard unseen;
    watching->begin(tensors_of(record.inputs()));
    return nullptr;
  }

  static void end(const at::RecordFunction& record, at::ObserverContext*) {
    const at::DisableRecordFunctionGuard unseen;
    watching->end(record.name(), tensors_of(record.outputs()));
  }
};

NumberWatch::NumberWatch(const std::vector<std::pair<std::string, at::Tensor>>& parameters) {
  for (const auto& [name, parameter] : parameters) {
    const auto* start = static_cast<const char*>(parameter.const_data_ptr());
    owners_[start] = {start + parameter.nbytes(), name.substr(0, name.rfind('.'))};
  }
  TORCH_INTERNAL_ASSERT(watching == nullptr);
  watching = this;
  handle_ =
      at::addThreadLocalCallback(at::RecordFunctionCallback(&NumberWatchCallbacks::start, &NumberWatchCallbacks::end)
                                     .needsInputs(true)
                                     .needsOutputs(true)
                                     .scopes({at::RecordScope::FUNCTION}));
}

NumberWatch::~NumberWatch() {
  at::removeCallback(handle_);
  watching = nullptr;
}

const std::string* NumberWatch::owner_of(const at::Tensor& tensor) const {
  if (!tensor.has_storage()) return nullptr;
  const auto* start = static_cast<const char*>(tensor.const_data_ptr());
  const auto after = owners_.upper_bound(start);
  if (after == owners_.begin()) return nullptr;
  const Owner& owner = std::prev(after)->second;
  return start < owner.end ? &owner.module : nullptr;
}

void NumberWatch::begin(const std::vector<at::Tensor>& inputs) {
  if (depth_++ == 0) in_module_ = false;
  for (const at::Tensor& input : inputs) {
    if (const std::string* owner = owner_of(input)) {
      module_ = *owner;
      in_module_ = true;
    }
  }
}

void NumberWatch::end(const char* operation, const std::vector<at::Tensor>& outputs) {
  if (--depth_ > 0 || first_) return;
  std::string_view name = operation;
  if (const size_t colons = name.rfind(':'); colons != std::string_view::npos) name.remove_prefix(colons + 1);
  if (is_unfilled(name)) return;
  for (const at::Tensor& output : outputs) {
    if (!is_bad(output, is_product(name))) continue;
    first_ = FirstBadNumber{module_, std::string(name), in_module_};
    return;
  }
}

}  // namespace capture
