// Work on many threads, results in the order of the questions.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace capture {

/// Takes questions from `ask()`, which gives a std::optional, until there are none; answers each with `work(question)`
/// on one of `workers` threads; and hands every answer to `take(answer)`, in the order of the questions. `ask` and
/// `take` run on the calling thread. No more than four answers a worker wait to be taken. What any of the three throws
/// ends the call and is thrown by it.
template <class Ask, class Work, class Take>
void answer_in_order(const Ask& ask, size_t workers, const Work& work, const Take& take) {
  using Question = typename std::invoke_result_t<Ask>::value_type;
  using Answer = std::invoke_result_t<Work, Question>;
  struct {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::deque<std::packaged_task<Answer()>> tasks;
  } queue;
  std::deque<std::future<Answer>> answers;  // outlives the threads that fill it
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < workers; ++i) {
    threads.emplace_back([&queue](const std::stop_token& stop) {
      for (;;) {
        std::packaged_task<Answer()> task;
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
  for (bool more = true; more || !answers.empty();) {
    while (more && answers.size() < 4 * workers) {
      std::optional<Question> question = ask();
      more = question.has_value();
      if (!more) break;
      std::packaged_task<Answer()> task(
          [&work, question = std::move(*question)]() mutable { return work(std::move(question)); });
      answers.push_back(task.get_future());
      const std::lock_guard lock(queue.mutex);
      queue.tasks.push_back(std::move(task));
      queue.changed.notify_one();
    }
    if (answers.empty()) break;
    Answer answer = answers.front().get();
    answers.pop_front();
    take(std::move(answer));
  }
}

/// Calls `work(i)` for i in [0, count) on `workers` threads and `take(i, result)` on the calling thread, in order.
template <class Work, class Take>
void in_order(size_t count, size_t workers, const Work& work, const Take& take) {
  size_t asked = 0;
  size_t taken = 0;
  answer_in_order([&] { return asked < count ? std::optional(asked++) : std::nullopt; }, workers, work,
                  [&](auto&& result) { take(taken++, std::forward<decltype(result)>(result)); });
}

}  // namespace capture
