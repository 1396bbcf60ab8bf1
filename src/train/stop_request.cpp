#include "capture/train/stop_request.h"

#include <csignal>
#include <initializer_list>

namespace capture {

namespace {

// A signal handler can reach nothing but this.
volatile std::sig_atomic_t received = 0;

/// From the second signal on, the system's own handler ends the process.
void remember(int signal) {
  received = signal;
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
}

}  // namespace

StopRequest::StopRequest() {
  received = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT}) ::sigaction(signal, &action, nullptr);
}

StopRequest::~StopRequest() {
  for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
}

int StopRequest::signal() const {
  return received;
}

}  // namespace capture
