// SIGTERM and SIGINT ask a run to end well.
#pragma once

namespace capture {

/// While in scope, the first SIGTERM or SIGINT is remembered; the second ends the process at once. One at a time.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// The signal that came, or 0.
  int signal() const;
};

}  // namespace capture
