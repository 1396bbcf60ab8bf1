// Means over the steps between two lines of metrics.jsonl, and the count of steps that were skipped.
#pragma once

#include <array>
#include <cstdint>

#include "capture/base/json.h"

namespace capture {

/// Host-side sums; what it holds is part of a checkpoint, so that a line which spans a kill is the same line.
class Meter {
 public:
  /// What a step computes, by the names that metrics.jsonl gives them; losses but for the first are unweighted.
  static constexpr std::array<const char*, 5> kNames = {"loss", "masked_tokens", "masked_regions", "contrastive",
                                                        "gradient_norm"};
  using Values = std::array<double, kNames.size()>;

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
