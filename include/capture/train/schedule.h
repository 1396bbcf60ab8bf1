// The learning rate over a run: warm-up, then decay. A pure function of the step, so that a resumed run needs no state.
#pragma once

#include <cstdint>

#include "capture/base/fields.h"

namespace capture {

enum class ScheduleType { linear, cosine, constant };

struct ScheduleOptions {
  ScheduleType type = ScheduleType::linear;
  int64_t warmup_steps = 0;      ///< steps of warm-up; 0: warmup_fraction decides
  double warmup_fraction = 0.1;  ///< share of the run's steps, where warmup_steps is 0
  double final_fraction = 0.0;   ///< of the peak rate, at the end of the decay

  void visit(FieldVisitor& f);
};

/// The factor on the peak learning rate for step number `step` (0 is the first) of `total_steps`.
///
/// Warm-up of w steps: step s runs at (s + 1) / (w + 1), so that no step is wasted on a rate of 0. Then the factor
/// falls from 1 at step w to `final_fraction` one step past the last: along a line, along half a cosine, or not at all.
double learning_rate_factor(const ScheduleOptions& options, int64_t step, int64_t total_steps);

}  // namespace capture
