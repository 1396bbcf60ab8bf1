// Independent pieces of work on several threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace capture {

/// How many threads the processor runs at once, at least 1.
inline size_t core_count() {
  const size_t cores = std::thread::hardware_concurrency();
  return cores > 0 ? cores : 1;
}

/// Calls `work(i)` once for every i in [0, count), on the calling thread and at most `threads` - 1 others. What `work`
/// throws is thrown here, that of the smallest i first, as if the calls had been made in order; calls with a greater i
/// may then be left out.
template <class Work>
void for_each_index(size_t count, size_t threads, const Work& work) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  size_t failed = count;
  std::exception_ptr failure;
  const auto take_turns = [&] {
    for (size_t i; (i = next.fetch_add(1)) < count;) {
      try {
        work(i);
      } catch (...) {
        next = count;  // smaller ones are all taken already
        const std::lock_guard lock(mutex);
        if (i < failed) {
          failed = i;
          failure = std::current_exception();
        }
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (size_t i = 1; i < threads && i < count; ++i) others.emplace_back(take_turns);
    take_turns();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace capture
