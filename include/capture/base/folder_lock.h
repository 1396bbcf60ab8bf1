// One writer a folder: a lock that dies with its process.
#pragma once

#include <filesystem>
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

 private:
  int descriptor_;
};

}  // namespace capture
