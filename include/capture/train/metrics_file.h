// metrics.jsonl: one JSON object a line, each with its "step", that reads after any interruption as if there had been
// none.
#pragma once

#include <cstdint>
#include <filesystem>

#include "capture/base/json.h"

namespace capture {

class MetricsFile {
 public:
  /// Drops every line beyond `last_step`, and a last line that was cut off, then appends. UserError when the file
  /// cannot be written.
  MetricsFile(std::filesystem::path path, int64_t last_step);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  /// UserError when the disk is full.
  void append(const Json& line);

  /// Makes what was appended survive a power cut; before a checkpoint, which promises these lines.
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace capture
