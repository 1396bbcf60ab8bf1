// A file that grows by whole records: the lines of metrics.jsonl, the records of an event file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace capture {

class AppendFile {
 public:
  /// Opens or makes the file. UserError when it cannot.
  explicit AppendFile(std::filesystem::path path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// The whole record or, when the disk is full, none of it and a UserError.
  void append(std::string_view record);

  /// Makes what was appended survive a power cut. UserError when the disk refuses it.
  void sync();

 private:
  [[noreturn]] void fail(const char* doing, int error) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace capture
