#include "capture/train/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <tuple>

#include "capture/base/error.h"

namespace capture {

AppendFile::AppendFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    throw UserError({.what = std::string("cannot open the file: ") + std::strerror(errno), .where = path_.string()});
  }
}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::append(std::string_view record) {
  const ssize_t put = ::write(descriptor_, record.data(), record.size());
  if (put == static_cast<ssize_t>(record.size())) return;
  const int error = put < 0 ? errno : ENOSPC;
  struct stat status {};
  if (put > 0 && ::fstat(descriptor_, &status) == 0) {
    std::ignore = ::ftruncate(descriptor_, status.st_size - put);  // if even this fails, readers drop the half record
  }
  fail("write", error);
}

void AppendFile::sync() {
  // A network disk may say only now that it is full.
  if (::fsync(descriptor_) != 0) fail("sync", errno);
}

void AppendFile::fail(const char* doing, int error) const {
  throw UserError({.what = std::string("cannot ") + doing + " the file: " + std::strerror(error),
                   .where = path_.string(),
                   .hint = "free some space"});
}

}  // namespace capture
