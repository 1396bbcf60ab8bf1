// One writer a folder: a lock that dies with its process.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace capture {

class FolderLock {
 public:
  /// UserError when another process, or this one, holds the folder, and when it cannot be opened; `doing` is what that
  /// process is said to be doing ("writing into"). On a file system without locks, as clusters have, nothing is locked.
  FolderLock(const std::filesystem::path& folder, const std::string& doing);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Whether the path leads to the locked folder. A disk that does not answer is not taken for a no.
  bool is_at(const std::filesystem::path& path) const;
  /// Where the locked folder lies by now; nothing when it was removed.
  std::optional<std::filesystem::path> place() const;

 private:
  int descriptor_;
};

}  // namespace capture
