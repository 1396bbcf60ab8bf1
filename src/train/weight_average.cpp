#include "capture/train/weight_average.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace capture {

void AverageOptions::visit(FieldVisitor& f) {
  f.field("decay", decay,
          "Keep a moving average of the weights, of which each step leaves this much, e.g. 0.9999; early steps leave "
          "less, at most (1 + step) / (10 + step). Validation, evaluation and the best checkpoint are then the "
          "average's. 0: no average.",
          {0.0, 0.9999999});
}

WeightAverage::WeightAverage(HybridStreamModel& model, double decay)
    : decay_(decay), average_(model->options(), std::nullopt) {
  const at::NoGradGuard no_gradient;
  average_->eval();
  const auto weights = model->parameters();
  if (!weights.empty()) average_->to(weights.front().device());
  auto averages = average_->parameters();
  for (size_t i = 0; i < weights.size(); ++i) {
    averages[i].set_requires_grad(false);
    averages[i].copy_(weights[i]);
    if (!weights[i].requires_grad()) continue;
    sources_.push_back(weights[i]);
    targets_.push_back(averages[i]);
  }
}

void WeightAverage::update(int64_t step) {
  const at::NoGradGuard no_gradient;
  const auto done = static_cast<double>(step);
  const double decay = std::min(decay_, (1 + done) / (10 + done));
  at::_foreach_lerp_(targets_, sources_, 1 - decay);
}

}  // namespace capture
