#include "capture/train/stop_request.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <mutex>

namespace capture {

namespace {

constexpr std::array<int, 3> kSignals = {SIGTERM, SIGINT, SIGUSR1};

/// A signal so soon after the first is the same one, passed on by a launcher.
constexpr int64_t kSameSignal = 1000;

/// How soon after a signal it is noticed that the deadline runs.
constexpr auto kNotice = std::chrono::milliseconds(50);

// A signal handler can reach nothing but these, and any thread may be the one it interrupts.
std::atomic<int> received = 0;
std::atomic<int64_t> ends_since = -1;  // milliseconds of the monotonic clock when SIGTERM or SIGINT came; -1: neither
static_assert(std::atomic<int64_t>::is_always_lock_free);

void remember(int signal) {
  int none = 0;
  received.compare_exchange_strong(none, signal);
  if (signal == SIGUSR1) return;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t milliseconds = int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
  int64_t since = -1;
  if (!ends_since.compare_exchange_strong(since, milliseconds) && milliseconds - since > kSameSignal) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

StopRequest::StopRequest() {
  received = 0;
  ends_since = -1;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) ::sigaction(signal, &action, nullptr);
}

StopRequest::~StopRequest() {
  for (const int signal : kSignals) std::signal(signal, SIG_DFL);
}

int StopRequest::signal() const {
  return received;
}

StopDeadline::StopDeadline(const StopRequest& stop, double seconds, std::function<void(int)> expired) {
  if (seconds <= 0) return;
  thread_ = std::jthread([&stop, seconds, expired = std::move(expired)](const std::stop_token& done) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any over;
    const auto never = [] { return false; };
    while (stop.signal() == 0 && !done.stop_requested()) over.wait_for(lock, done, kNotice, never);
    if (done.stop_requested()) return;
    over.wait_for(lock, done, std::chrono::duration<double>(seconds), never);
    if (!done.stop_requested()) expired(stop.signal());
  });
}

}  // namespace capture
