#include "capture/data/import/rejects_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "capture/base/error.h"

namespace capture {

RejectsFile::RejectsFile(std::filesystem::path path, int64_t bytes)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)), bytes_(bytes) {
  if (descriptor_ < 0) fail("create");
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw UserError({.what = "is not a regular file", .where = path_.string()});
  }
  if (status.st_size < bytes_) {
    ::close(descriptor_);
    throw UserError({.what = "the rejects of the interrupted import are gone or cut short",
                     .where = path_.string(),
                     .hint = "put the file back, or start over with --force"});
  }
  if (::ftruncate(descriptor_, bytes_) != 0 || ::lseek(descriptor_, bytes_, SEEK_SET) < 0) fail("cut back");
}

RejectsFile::~RejectsFile() {
  ::close(descriptor_);
  if (bytes_ == 0) ::unlink(path_.c_str());
}

void RejectsFile::fail(const char* doing) const {
  throw UserError({.what = std::string("cannot ") + doing + " the file: " + std::strerror(errno),
                   .where = path_.string(),
                   .hint = "name another place with --rejects"});
}

void RejectsFile::add(const Json& reject) {
  const std::string line = to_line(reject) + "\n";
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t put = ::write(descriptor_, rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("write");
    rest.remove_prefix(static_cast<size_t>(put));
    bytes_ += put;
  }
}

int64_t RejectsFile::sync() {
  if (::fsync(descriptor_) != 0) fail("sync");
  return bytes_;
}

std::string rejected_in_words(int64_t rows) {
  return std::to_string(rows) + (rows == 1 ? " row was" : " rows were") + " rejected";
}

}  // namespace capture
