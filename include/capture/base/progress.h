// A progress bar on standard error; silent when that is not a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace capture {

class ProgressBar {
 public:
  /// `total` steps of `unit` ("samples"); a total of 0 means unknown.
  ProgressBar(std::string label, int64_t total, std::string unit);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Moves to `done` steps; `note` is shown at the end of the line. Draws at most ten times a second.
  void update(int64_t done, const std::string& note = {});

  /// Clears the line, so that other output starts on a clean one.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  std::string unit_;
  int64_t total_;
  int64_t first_ = -1;  // where counting started: a resumed run's rate must not count what it did not do
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point last_;
};

/// "1:05", "2:03:09", "3 d 04 h".
std::string in_words(std::chrono::seconds time);

}  // namespace capture
