#include "batch_sizes.h"

#include <algorithm>
#include <cstdio>

#include "capture/train/batch_size.h"

namespace capture {

void print_batch_sizes(const TrainConfig& config, double gibibytes) {
  std::printf("%10s %12s %12s\n", "batch size", "samples/s", "memory: MiB");
  const auto print = [](const BatchSizeTrial& trial) {
    std::printf("%10lld %12.2f %12lld\n", static_cast<long long>(trial.batch_size), trial.samples_per_second,
                static_cast<long long>(trial.peak_memory >> 20));
    std::fflush(stdout);
  };
  const auto memory = static_cast<int64_t>(gibibytes * (1 << 30));
  const BatchSizes sizes = find_batch_sizes(config, {.memory = memory}, print);
  const auto& fastest = *std::ranges::max_element(sizes.trials, {}, &BatchSizeTrial::samples_per_second);
  std::printf("largest: %lld (%s)\nfastest: %lld\n", static_cast<long long>(sizes.trials.back().batch_size),
              sizes.ending.c_str(), static_cast<long long>(fastest.batch_size));
}

}  // namespace capture
