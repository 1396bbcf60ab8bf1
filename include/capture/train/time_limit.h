// A wall-clock limit: when a run must take no further step, so that its last checkpoint is written in time.
#pragma once

#include <chrono>
#include <cstdint>

namespace capture {

class TimeLimit {
 public:
  using Clock = std::chrono::steady_clock;

  /// `minutes` after `start`; 0: no limit. `checkpoint_bytes` is what the last checkpoint will have to write.
  TimeLimit(double minutes, Clock::time_point start, int64_t checkpoint_bytes);

  /// A step, with the logging, validating and saving that followed it, is done: it took from `begin` to `end`.
  void add_step(Clock::time_point begin, Clock::time_point end);

  /// Whether another step as long as the longest so far, and then a checkpoint, might end past the limit.
  bool is_near(Clock::time_point now) const { return is_near(now, longest_); }

  /// The same for other work that takes so long.
  bool is_near(Clock::time_point now, Clock::duration work) const;

 private:
  Clock::time_point limit_;
  Clock::duration checkpoint_;
  Clock::duration longest_{};
};

}  // namespace capture
