#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "bench.h"

namespace capture {

using Clock = std::chrono::steady_clock;

std::vector<double> time_calls(int64_t count, const std::function<void()>& call) {
  call();
  std::vector<double> seconds;
  for (int64_t i = 0; i < count; ++i) {
    const auto start = Clock::now();
    call();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  return seconds;
}

double time_together(int64_t count, const std::function<void()>& call, const std::function<void()>& all_done) {
  for (int i = 0; i < 3; ++i) call();
  all_done();
  const auto start = Clock::now();
  for (int64_t i = 0; i < count; ++i) call();
  all_done();
  return std::chrono::duration<double>(Clock::now() - start).count() / static_cast<double>(count);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

}  // namespace capture
