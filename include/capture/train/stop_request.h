// SIGTERM, SIGINT and SIGUSR1 ask a run to end well.
#pragma once

#include <functional>
#include <thread>

namespace capture {

/// While in scope, the first of the three signals is remembered. A second SIGTERM or SIGINT ends the process at once,
/// but for one within a second of the first: launchers pass on what the terminal has sent to everybody already.
/// SIGUSR1 (Slurm's --signal) never ends the process, nor does it make a SIGTERM that follows it the second. One at a
/// time.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// The signal that came first, or 0.
  int signal() const;
};

/// Asked between the batches of what takes long, by all processes together: whether to leave it. All get one answer.
using StopQuestion = std::function<bool()>;

/// Watches that a run which was asked to stop does so in time.
class StopDeadline {
 public:
  /// Calls `expired(signal)` on a thread of its own, once, `seconds` after the signal came; 0: never. `stop` must
  /// outlive it.
  StopDeadline(const StopRequest& stop, double seconds, std::function<void(int)> expired);

 private:
  std::jthread thread_;
};

}  // namespace capture
