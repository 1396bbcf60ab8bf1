#include "capture/tensor/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#ifndef _OPENMP
#error "without OpenMP at::parallel_for has one thread"
#endif

namespace capture {

int64_t workers_for(int64_t tasks) {
  return std::min<int64_t>(at::get_num_threads(), tasks);
}

void for_each_task(int64_t tasks, const std::function<void(int64_t task, int64_t worker)>& call) {
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, workers_for(tasks), 1, [&](int64_t first, int64_t last) {
    for (int64_t worker = first; worker < last; ++worker) {
      for (int64_t task = next++; task < tasks; task = next++) call(task, worker);
    }
  });
}

}  // namespace capture
