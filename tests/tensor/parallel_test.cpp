#include "capture/tensor/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace capture {
namespace {

TEST(ForEachTask, CallsEveryTaskOnceOnWorkersThatDoNotOverlap) {
  std::vector<std::atomic<int>> calls(1000);
  std::vector<std::atomic<int>> busy(static_cast<size_t>(workers_for(1000)));
  for_each_task(1000, [&](int64_t task, int64_t worker) {
    EXPECT_EQ(busy.at(static_cast<size_t>(worker))++, 0);
    ++calls[static_cast<size_t>(task)];
    --busy[static_cast<size_t>(worker)];
  });
  for (const auto& count : calls) EXPECT_EQ(count, 1);
  for_each_task(0, [](int64_t, int64_t) { FAIL(); });
}

TEST(ForEachTask, RunsOnSeveralThreadsAtOnce) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  std::atomic<int> met = 0;
  for_each_task(2, [&](int64_t, int64_t) {
    ++met;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (met < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  });
  at::set_num_threads(threads);
  EXPECT_EQ(met, 2);
}

TEST(ForEachTask, ThrowsWhatATaskThrows) {
  EXPECT_THROW(for_each_task(3,
                             [](int64_t task, int64_t) {
                               if (task == 1) throw std::runtime_error("one");
                             }),
               std::runtime_error);
}

}  // namespace
}  // namespace capture
