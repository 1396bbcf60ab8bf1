// Work over LibTorch's threads. at::parallel_for runs on one thread in sources that are compiled without OpenMP, as
// ours are: the one loop that needs it is compiled apart.
#pragma once

#include <cstdint>
#include <functional>

namespace capture {

/// The most threads that for_each_task() takes for so many tasks.
int64_t workers_for(int64_t tasks);

/// Calls call(task, worker) for each of the tasks; a thread that is done with one takes the next, so that a slow one
/// holds nobody up. `worker` is below workers_for(tasks), and two calls of one worker never overlap. What a call throws
/// is thrown here.
void for_each_task(int64_t tasks, const std::function<void(int64_t task, int64_t worker)>& call);

}  // namespace capture
