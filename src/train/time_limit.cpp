#include "capture/train/time_limit.h"

#include <algorithm>

namespace capture {

namespace {

/// A slow disk's rate, for checkpoints that nobody has timed yet.
constexpr double kBytesPerSecond = 200e6;

TimeLimit::Clock::duration seconds(double count) {
  return std::chrono::duration_cast<TimeLimit::Clock::duration>(std::chrono::duration<double>(count));
}

}  // namespace

TimeLimit::TimeLimit(double minutes, Clock::time_point start, int64_t checkpoint_bytes)
    : limit_(minutes > 0 ? start + seconds(60 * minutes) : Clock::time_point::max()),
      checkpoint_(seconds(static_cast<double>(checkpoint_bytes) / kBytesPerSecond)) {}

void TimeLimit::add_step(Clock::time_point begin, Clock::time_point end) {
  longest_ = std::max(longest_, end - begin);
}

bool TimeLimit::is_near(Clock::time_point now, Clock::duration work) const {
  return limit_ - now < work + work / 4 + checkpoint_;
}

}  // namespace capture
