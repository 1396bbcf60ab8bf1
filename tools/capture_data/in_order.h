// Work on many threads, results in the order of the questions.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace capture {

/// Calls `work(i)` for i in [0, count) on `workers` threads and `take(i, result)` on the calling thread, in order. No
/// more than a few results a worker wait to be taken. What `work` or `take` throws ends the call and is thrown by it.
template <class Work, class Take>
void in_order(size_t count, size_t workers, const Work& work, const Take& take) {
  using Result = std::invoke_result_t<Work, size_t>;
  struct {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::deque<std::packaged_task<Result()>> tasks;
  } queue;
  std::deque<std::future<Result>> results;  // outlives the threads that fill it
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < workers; ++i) {
    threads.emplace_back([&queue](const std::stop_token& stop) {
      for (;;) {
        std::packaged_task<Result()> task;
        {
          std::unique_lock lock(queue.mutex);
          queue.changed.wait(lock, stop, [&] { return !queue.tasks.empty(); });
          if (stop.stop_requested()) return;
          task = std::move(queue.tasks.front());
          queue.tasks.pop_front();
        }
        task();
      }
    });
  }
  const size_t ahead = 4 * workers;
  for (size_t asked = 0, taken = 0; taken < count; ++taken) {
    for (; asked < count && asked < taken + ahead; ++asked) {
      std::packaged_task<Result()> task([&work, asked] { return work(asked); });
      results.push_back(task.get_future());
      const std::lock_guard lock(queue.mutex);
      queue.tasks.push_back(std::move(task));
      queue.changed.notify_one();
    }
    Result result = results.front().get();
    results.pop_front();
    take(taken, std::move(result));
  }
}

}  // namespace capture
