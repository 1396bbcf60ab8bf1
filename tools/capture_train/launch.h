// capture_train --launch N: N copies of this program on one machine, that train together.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace capture {

struct Launch {
  int64_t processes = 0;
  std::vector<std::string> command;  ///< the words of the command line, --launch among them
  std::filesystem::path output;      ///< the run folder, to say whose log to read
  std::chrono::seconds patience{};   ///< with the others, once one has ended
};

/// Starts the processes with the environment that read_process_context() reads, and OMP_NUM_THREADS at their share of
/// the cores unless it is set. Hands SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2 on to them; ends those that outlive
/// another by `patience`, and all when this process dies. Returns the exit code: that of the first that failed (128 +
/// the signal, if one killed it), else that of rank 0. A failure is told in the log, an end that was asked for is not.
/// UserError when a process cannot be started.
int launch(const Launch& request);

}  // namespace capture
