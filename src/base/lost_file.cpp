// Everything here but explain_lost_files() runs in a signal handler: system calls and fixed memory alone.
#include "capture/base/lost_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <tuple>

namespace capture {

namespace {

std::array<char, 64> program_name{};

void say(std::string_view text) {
  std::ignore = ::write(STDERR_FILENO, text.data(), text.size());
}

/// Whether the line of /proc/self/maps ("7f00-7f08 r--s 0 08:01 42   /path") is about the address.
bool holds(std::string_view line, uintptr_t address) {
  uintptr_t start = 0, end = 0;
  const char* const last = line.data() + line.size();
  const auto first = std::from_chars(line.data(), last, start, 16);
  if (first.ec != std::errc() || first.ptr == last) return false;
  return std::from_chars(first.ptr + 1, last, end, 16).ec == std::errc() && start <= address && address < end;
}

/// The file that is mapped at the address, in `line`'s memory; "" where none is.
std::string_view file_at(uintptr_t address, std::array<char, 4096>& line) {
  const int maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  size_t used = 0;
  std::string_view found;
  while (maps >= 0 && found.empty() && ::read(maps, &line[used], 1) == 1) {
    if (line[used] != '\n') {
      used = std::min(used + 1, line.size() - 1);
      continue;
    }
    const std::string_view whole(line.data(), used);
    used = 0;
    const size_t path = whole.find('/');
    if (path != std::string_view::npos && holds(whole, address)) found = whole.substr(path);
  }
  ::close(maps);
  return found;
}

std::atomic_flag explaining;

void on_bus_error(int, siginfo_t* info, void*) {
  // Several threads may read the file. One explains, and ends the process.
  while (explaining.test_and_set()) ::usleep(1000);
  std::array<char, 4096> line{};
  const std::string_view file = file_at(reinterpret_cast<uintptr_t>(info->si_addr), line);
  if (file.empty()) {  // no file's fault: it happens again at once, and ends the process by the signal
    std::signal(SIGBUS, SIG_DFL);
    explaining.clear();
    return;
  }
  say(program_name.data());
  say(": ");
  say(file);
  say(": the file was shortened while it was read, or its disk or network failed; check it, then run again\n");
  ::_exit(1);
}

}  // namespace

void explain_lost_files(std::string_view program) {
  program_name.fill('\0');
  std::copy_n(program.data(), std::min(program.size(), program_name.size() - 1), program_name.data());
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace capture
