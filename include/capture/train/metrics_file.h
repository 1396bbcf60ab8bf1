// metrics.jsonl: one JSON object a line, each with its "step", that reads after any interruption as if there had been
// none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "capture/base/json.h"
#include "capture/train/append_file.h"

namespace capture {

class MetricsFile {
 public:
  /// Whether a line that is there stays, by its step and what it says.
  using Keeps = std::function<bool(int64_t step, const Json& line)>;

  /// Drops all other lines, and a last one that was cut off, then appends. UserError when the file cannot be written.
  MetricsFile(const std::filesystem::path& path, const Keeps& keeps);

  /// UserError, with nothing of the line written, when the disk is full. The line is kept and written with the next.
  void append(const Json& line);

  /// Makes what was appended survive a power cut; before a checkpoint, which promises these lines. UserError when there
  /// are lines that still cannot be written. May be called from another thread.
  void sync();

 private:
  void write();

  std::mutex mutex_;
  std::string unwritten_;
  std::optional<AppendFile> file_;
};

}  // namespace capture
