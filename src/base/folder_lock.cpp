#include "capture/base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "capture/base/error.h"

namespace capture {

FolderLock::FolderLock(const std::filesystem::path& folder, const std::string& doing)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) {
    throw UserError({.what = std::string("cannot open the folder: ") + std::strerror(errno), .where = folder.string()});
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  throw UserError({.what = "another process is " + doing + " the folder",
                   .where = folder.string(),
                   .hint = "wait until it ends, or choose another folder"});
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

bool FolderLock::is_at(const std::filesystem::path& path) const {
  struct stat own {};
  struct stat there {};
  if (::fstat(descriptor_, &own) != 0) return errno != ESTALE;
  if (::stat(path.c_str(), &there) != 0) return errno != ENOENT && errno != ENOTDIR;
  return own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

std::optional<std::filesystem::path> FolderLock::place() const {
  std::error_code error;
  std::filesystem::path path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor_), error);
  return !error && is_at(path) ? std::optional(std::move(path)) : std::nullopt;
}

}  // namespace capture
