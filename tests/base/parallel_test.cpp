#include "capture/base/parallel.h"

#include <gmock/gmock.h>

#include <chrono>
#include <stdexcept>
#include <string>

namespace capture {
namespace {

TEST(Parallel, EveryIndexIsWorkedOnOnce) {
  for (const size_t threads : {0, 1, 2, 7}) {
    std::vector<std::atomic<int>> calls(100);
    for_each_index(100, threads, [&](size_t i) { ++calls[i]; });
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
  for_each_index(0, 3, [](size_t) { FAIL(); });
}

TEST(Parallel, ThrowsWhatWouldBeThrownFirstInOrder) {
  for (const size_t threads : {1, 2, 5}) {
    const auto fail = [&] {
      for_each_index(50, threads, [](size_t i) {
        // The first to be asked is the last to fail.
        if (i == 7) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (i >= 7) throw std::runtime_error(std::to_string(i));
      });
    };
    EXPECT_THAT(fail, testing::ThrowsMessage<std::runtime_error>("7"));
  }
}

}  // namespace
}  // namespace capture
