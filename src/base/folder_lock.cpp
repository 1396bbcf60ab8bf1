#include "capture/base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
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

}  // namespace capture
