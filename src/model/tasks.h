// Work of unequal or unknown length over LibTorch's threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace capture {

/// The most threads that for_each_task() takes for so many tasks.
inline int64_t workers_for(int64_t tasks) {
  return std::min<int64_t>(at::get_num_threads(), tasks);
}

/// Calls call(task, worker) for every task; a thread that is done with one takes the next. `worker` is below
/// workers_for(tasks), and two calls of one worker never overlap.
template <class Call>
void for_each_task(int64_t tasks, const Call& call) {
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, workers_for(tasks), 1, [&](int64_t first, int64_t last) {
    for (int64_t worker = first; worker < last; ++worker) {
      for (int64_t task = next++; task < tasks; task = next++) call(task, worker);
    }
  });
}

}  // namespace capture
