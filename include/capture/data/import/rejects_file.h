// The rows that an import left out, one JSON object a line. It is written as the import goes, and cut back to what it
// was when an interrupted import goes on behind its last whole shard.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "capture/base/json.h"

namespace capture {

class RejectsFile {
 public:
  /// The first `bytes` of the file are kept. UserError when it cannot be written or is shorter than that.
  RejectsFile(std::filesystem::path path, int64_t bytes);
  /// A file without rejects is removed.
  ~RejectsFile();
  RejectsFile(const RejectsFile&) = delete;
  RejectsFile& operator=(const RejectsFile&) = delete;

  void add(const Json& reject);
  /// Bytes so far, all of them on the disk when this returns.
  int64_t sync();

 private:
  [[noreturn]] void fail(const char* doing) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  int64_t bytes_ = 0;
};

/// "1 row was rejected", "2 rows were rejected".
std::string rejected_in_words(int64_t rows);

}  // namespace capture
