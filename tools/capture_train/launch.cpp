#include "capture_train/launch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <set>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/base/processors.h"

namespace capture {

namespace {

using Clock = std::chrono::steady_clock;

/// Exit codes of ranks that all ended together, as asked: by trainer.time_limit, or by a signal that one of them got.
constexpr std::array kInOrder = {124, 128 + SIGINT, 128 + SIGUSR1, 128 + SIGTERM};

[[noreturn]] void fail(const char* what) {
  throw UserError({.what = fmt::format("cannot {}: {}", what, std::strerror(errno)), .where = "--launch"});
}

/// Of the processors that this process may run on.
int64_t threads_for_each(int64_t processes) {
  return std::max<int64_t>(1, std::ssize(allowed_processors()) / processes);
}

/// --launch N and --launch=N must not reach the processes.
std::vector<std::string> without_launch(const std::vector<std::string>& command) {
  std::vector<std::string> words;
  for (size_t i = 0; i < command.size(); ++i) {
    if (command[i] == "--launch") {
      ++i;
    } else if (!command[i].starts_with("--launch=")) {
      words.push_back(command[i]);
    }
  }
  return words;
}

/// A socket on a port of its own, which rank 0 inherits: no other program can take the port in between.
std::pair<int, int> listen_somewhere() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const place = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || ::bind(listener, place, size) != 0 || ::listen(listener, SOMAXCONN) != 0 ||
      ::getsockname(listener, place, &size) != 0) {
    fail("open a port for the processes to meet at");
  }
  return {listener, ntohs(address.sin_port)};
}

/// When the file was last written to; the same for all that are not there.
std::filesystem::file_time_type written_at(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::last_write_time(file, ignored);
}

class Launcher {
 public:
  explicit Launcher(const Launch& request) : request_(request) {}

  int run() {
    block_signals();
    for (int64_t rank = 0; rank < request_.processes; ++rank) {
      logs_before_.push_back(written_at(log_of(static_cast<size_t>(rank))));
    }
    start_all();
    while (alive() > 0) {
      wait_for_signal();
      reap();
      end_what_is_left();
    }
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    if (failed_) {
      const auto log = log_of(failed_rank_);
      // Where a run is refused, it writes no log: one that stands there is another run's.
      const bool written = written_at(log) != logs_before_[failed_rank_];
      log::error("{}{}", *failed_, written ? "; its log is " + log.string() : "");
    }
    return codes_[code_of_.value_or(0)];
  }

 private:
  void block_signals() {
    ::sigemptyset(&signals_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD}) ::sigaddset(&signals_, signal);
    ::sigprocmask(SIG_BLOCK, &signals_, &before_);
  }

  void start_all() {
    const auto [listener, port] = listen_somewhere();
    const std::vector<std::string> words = without_launch(request_.command);
    for (int64_t rank = 0; rank < request_.processes; ++rank) {
      const pid_t launcher = ::getpid();
      const pid_t process = ::fork();
      if (process == 0) become(rank, words, listener, port, launcher);
      if (process < 0) {
        const int reason = errno;
        signal_all(SIGKILL);
        errno = reason;
        fail("start a process");
      }
      processes_.push_back(process);
      codes_.push_back(0);
    }
    ::close(listener);
  }

  /// Runs in the new process and does not return.
  [[noreturn]] void become(int64_t rank, std::vector<std::string> words, int listener, int port, pid_t launcher) const {
    // A group of its own: the terminal's Ctrl-C goes to the launcher alone, which hands it on once.
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != launcher) ::_exit(1);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    const auto set = [](const char* name, int64_t value, bool overwrite = true) {
      ::setenv(name, std::to_string(value).c_str(), overwrite ? 1 : 0);
    };
    set("RANK", rank);
    set("LOCAL_RANK", rank);
    set("WORLD_SIZE", request_.processes);
    set("LOCAL_WORLD_SIZE", request_.processes);
    set("MASTER_PORT", port);
    set("OMP_NUM_THREADS", threads_for_each(request_.processes), /*overwrite=*/false);
    ::setenv("MASTER_ADDR", "127.0.0.1", 1);
    for (const char* other : {"TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RESTART_COUNT", "CAPTURE_STORE_SOCKET"}) {
      ::unsetenv(other);
    }
    if (rank == 0) {
      ::fcntl(listener, F_SETFD, 0);
      set("CAPTURE_STORE_SOCKET", listener);
    }
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    // By its name, which ps and top then show; where the file has been replaced meanwhile, by what runs here.
    std::error_code ignored;
    ::execv(std::filesystem::read_symlink("/proc/self/exe", ignored).c_str(), arguments.data());
    ::execv("/proc/self/exe", arguments.data());
    ::_exit(127);
  }

  int64_t alive() const {
    return std::ranges::count_if(processes_, [](pid_t process) { return process != 0; });
  }

  void signal_all(int signal) const {
    for (const pid_t process : processes_) {
      if (process != 0) ::kill(process, signal);
    }
  }

  void wait_for_signal() {
    const timespec second = {.tv_sec = 1, .tv_nsec = 0};
    const int signal = ::sigtimedwait(&signals_, nullptr, &second);
    if (signal <= 0 || signal == SIGCHLD) return;
    signal_all(signal);
    handed_on_.insert(signal);
  }

  void reap() {
    for (size_t rank = 0; rank < processes_.size(); ++rank) {
      int status = 0;
      if (processes_[rank] == 0 || ::waitpid(processes_[rank], &status, WNOHANG) != processes_[rank]) continue;
      processes_[rank] = 0;
      const bool killed = WIFSIGNALED(status);
      codes_[rank] = killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      note_end(rank, killed);
    }
  }

  void note_end(size_t rank, bool killed) {
    const int code = codes_[rank];
    const bool is_first = !first_ended_;
    if (is_first) first_ended_ = {rank, Clock::now()};
    if (code == 0 || handed_on_.contains(code - 128)) return;
    if (!code_of_) code_of_ = rank;
    if (failed_ || (!killed && std::ranges::find(kInOrder, code) != kInOrder.end())) return;
    failed_ = killed ? fmt::format("rank {} was killed by signal {} ({})", rank, code - 128, ::strsignal(code - 128))
                     : fmt::format("rank {} ended{}, with exit code {}", rank, is_first ? " first" : "", code);
    failed_rank_ = rank;
    failed_at_ = Clock::now();
  }

  /// Ends those who outlive another for long: all that end well do so together.
  void end_what_is_left() {
    const auto limit = Clock::now() - request_.patience;
    if (!failed_ && first_ended_ && first_ended_->second < limit && alive() > 0) {
      const auto left = std::ranges::find_if(processes_, [](pid_t process) { return process != 0; });
      failed_rank_ = static_cast<size_t>(left - processes_.begin());
      if (!code_of_) code_of_ = failed_rank_;
      failed_at_ = first_ended_->second;
      failed_ =
          fmt::format("rank {} hung: it had not ended {} s after rank {} had", failed_rank_,
                      std::chrono::duration_cast<std::chrono::seconds>(request_.patience).count(), first_ended_->first);
    }
    if (failed_ && failed_at_ < limit) signal_all(SIGKILL);
  }

  std::filesystem::path log_of(size_t rank) const {
    return request_.output / (rank == 0 ? "log.txt" : fmt::format("log.rank{}.txt", rank));
  }

  const Launch& request_;
  sigset_t signals_{};
  sigset_t before_{};
  std::vector<pid_t> processes_;  // 0: has ended
  std::vector<int> codes_;
  std::vector<std::filesystem::file_time_type> logs_before_;
  std::set<int> handed_on_;
  std::optional<size_t> code_of_;  // the rank whose exit code is the launcher's; none: rank 0
  std::optional<std::string> failed_;
  size_t failed_rank_ = 0;
  Clock::time_point failed_at_;
  std::optional<std::pair<size_t, Clock::time_point>> first_ended_;
};

}  // namespace

int launch(const Launch& request) {
  return Launcher(request).run();
}

}  // namespace capture
