#include "capture/model/initialise.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "capture/base/files.h"

namespace capture {

namespace {

double deviation(const std::string& name, const HybridStreamModelOptions& options) {
  const bool scaled = options.co_initialisation == CoInitialisation::scaled && name.starts_with("co_transformer.");
  if (!scaled) return options.initializer_range;
  const double into = std::pow(static_cast<double>(options.width), -0.5);
  if (name.ends_with(".qkv.weight")) return into;
  if (name.ends_with(".up.weight")) return into * std::sqrt(0.5);
  return into * std::pow(2.0 * static_cast<double>(options.co_transformer.layers), -0.5);
}

}  // namespace

void initialise(HybridStreamModelImpl& model, uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const auto& item : model.named_parameters()) {
    const std::string& name = item.key();
    at::Tensor parameter = item.value();
    if (name.ends_with("bias")) {
      parameter.zero_();
    } else if (parameter.dim() == 1) {
      parameter.fill_(1.0);
    } else {
      const at::Generator generator = at::detail::createCPUGenerator(checksum(name) ^ seed);
      const at::Tensor drawn = at::empty(parameter.sizes(), at::kFloat);
      parameter.copy_(drawn.normal_(0.0, deviation(name, model.options()), generator));
    }
  }
}

}  // namespace capture
