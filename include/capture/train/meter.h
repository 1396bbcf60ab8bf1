// Means over the steps between two lines of metrics.jsonl, and the count of steps that were skipped.
#pragma once

#include <array>
#include <cstdint>

#include "capture/base/json.h"
#include "capture/train/train_step.h"

namespace capture {

/// Host-side sums; what it holds is part of a checkpoint, so that a line which spans a kill is the same line.
class Meter {
 public:
  using Values = std::array<double, StepValues::kNames.size()>;

  /// Returns whether the step counted: false when a value is not finite, which is when the optimiser skipped it.
  bool add(const Values& values, int64_t samples);

  /// {"loss": …, …, "gradient_norm": …, "skipped": steps skipped in this window}; null where every step was skipped.
  Json means() const;
  double mean_loss() const;
  int64_t samples() const { return samples_; }

  /// Starts the next window.
  void reset();

  int64_t skipped_in_a_row() const { return skipped_in_a_row_; }
  int64_t skipped_in_all() const { return skipped_in_all_; }

  Json state() const;
  void load_state(const Json& state);

 private:
  Values sums_{};
  int64_t steps_ = 0;
  int64_t samples_ = 0;
  int64_t skipped_ = 0;
  int64_t skipped_in_a_row_ = 0;
  int64_t skipped_in_all_ = 0;
};

}  // namespace capture
