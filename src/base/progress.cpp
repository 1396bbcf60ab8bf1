#include "capture/base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace capture {

namespace {

size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string in_words(std::chrono::seconds time) {
  const int64_t s = std::max<int64_t>(time.count(), 0);
  if (s >= 86400) return fmt::format("{} d {:02} h", s / 86400, s / 3600 % 24);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

ProgressBar::ProgressBar(std::string label, int64_t total, std::string unit)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_(start_ - std::chrono::seconds(1)) {}

ProgressBar::~ProgressBar() {
  clear();
}

void ProgressBar::update(int64_t done, const std::string& note) {
  if (!terminal_) return;
  if (first_ < 0) first_ = done;
  const auto now = Clock::now();
  if (now - last_ < std::chrono::milliseconds(100) && done != total_) return;
  last_ = now;

  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done - first_) / seconds : 0;
  std::string line = label_;
  if (total_ > 0) {
    constexpr int64_t kCells = 24;
    const int64_t filled = std::clamp<int64_t>(done * kCells / total_, 0, kCells);
    line += fmt::format(" [{:<24}] {}/{}", std::string(static_cast<size_t>(filled), '#'), done, total_);
  } else {
    line += fmt::format(" {}", done);
  }
  line += fmt::format(" {} {:.1f}/s", unit_, rate);
  if (total_ > 0 && rate > 0) {
    line += " left " + in_words(std::chrono::seconds(static_cast<int64_t>(static_cast<double>(total_ - done) / rate)));
  }
  if (!note.empty()) line += " | " + note;
  line.resize(std::min(line.size(), terminal_width() - 1));
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::clear() {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace capture
