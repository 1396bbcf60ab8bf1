#include "capture/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace capture {

void ScheduleOptions::visit(FieldVisitor& f) {
  f.choice(
      "type", type, "How the learning rate falls after the warm-up.",
      Choices<ScheduleType>{
          {"linear", ScheduleType::linear}, {"cosine", ScheduleType::cosine}, {"constant", ScheduleType::constant}});
  f.field("warmup_steps", warmup_steps, "Steps over which the learning rate rises; 0: warmup_fraction decides.",
          {0, int64_t{1} << 40});
  f.field("warmup_fraction", warmup_fraction, "Warm-up as a share of the run's steps, used when warmup_steps is 0.",
          {0.0, 1.0});
  f.field("final_fraction", final_fraction, "Share of the peak learning rate that is left at the end.", {0.0, 1.0});
}

double learning_rate_factor(const ScheduleOptions& options, int64_t step, int64_t total_steps) {
  const double fraction_steps = std::round(options.warmup_fraction * static_cast<double>(total_steps));
  const int64_t warmup = options.warmup_steps > 0 ? options.warmup_steps : static_cast<int64_t>(fraction_steps);
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup + 1);
  if (options.type == ScheduleType::constant || total_steps <= warmup) return 1.0;
  const double done =
      std::clamp(static_cast<double>(step - warmup) / static_cast<double>(total_steps - warmup), 0.0, 1.0);
  const double fallen = options.type == ScheduleType::linear ? done : 0.5 * (1.0 - std::cos(std::numbers::pi * done));
  return 1.0 - (1.0 - options.final_fraction) * fallen;
}

}  // namespace capture
