// One writer a folder: a lock that dies with its process.
#pragma once

#include <filesystem>

namespace capture {

class FolderLock {
 public:
  /// UserError when another process, or this one, holds the folder. A file system without locks is not locked.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace capture
