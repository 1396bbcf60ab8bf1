#include "capture/base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "capture/base/error.h"

namespace capture {

namespace {

/// What the user can do about the errno of a failed file operation.
std::string advice(int error, bool reads) {
  switch (error) {
    case ENOENT:
      return "check the path";
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return "free some space or choose another folder";
    case EACCES:
    case EPERM:
    case EROFS:
      if (reads) return "make it readable";
      return "choose a folder that you may write to, or change its permissions";
    default:
      return {};
  }
}

[[noreturn]] void fail_on(const std::filesystem::path& path, const std::string& doing, bool reads) {
  const int error = errno;
  throw UserError(
      {.what = "cannot " + doing + ": " + std::strerror(error), .where = path.string(), .hint = advice(error, reads)});
}

[[noreturn]] void fail_to_read(const std::filesystem::path& path, const std::string& doing) {
  fail_on(path, doing, /*reads=*/true);
}

[[noreturn]] void fail_to_write(const std::filesystem::path& path, const std::string& doing) {
  fail_on(path, doing, /*reads=*/false);
}

[[noreturn]] void fail_not_regular(const std::filesystem::path& path, const struct stat& status) {
  throw UserError(
      {.what = S_ISDIR(status.st_mode) ? "is a folder, not a file" : "is not a regular file", .where = path.string()});
}

constexpr std::string_view kAsideMark = ".part-";

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

class Descriptor {
 public:
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever before it could be refused.
  explicit Descriptor(const std::filesystem::path& path)
      : value_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (value_ < 0) fail_to_read(path, "open the file");
    struct stat status {};
    if (::fstat(value_, &status) != 0) fail_to_read(path, "read the file's size");
    if (!S_ISREG(status.st_mode)) {
      ::close(value_);
      fail_not_regular(path, status);
    }
    size = static_cast<uint64_t>(status.st_size);
  }
  ~Descriptor() { ::close(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

  uint64_t size = 0;

 private:
  int value_;
};

}  // namespace

std::string read_file(const std::filesystem::path& path, uint64_t limit) {
  const Descriptor file(path);
  if (file.size > limit) {
    throw UserError({.what = "the file has " + std::to_string(file.size) + " bytes",
                     .where = path.string(),
                     .allowed = "at most " + std::to_string(limit) + " bytes"});
  }
  std::string text(file.size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to_read(path, "read the file");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor file(path);
  size_ = file.size;
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) fail_to_read(path, "map the file into memory");
  data_ = data;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::prefetch(size_t offset, size_t length) const {
  if (data_ == nullptr || offset >= size_) return;
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t start = offset / page * page;
  const size_t end = offset + std::min(length, size_ - offset);
  ::madvise(static_cast<char*>(data_) + start, end - start, MADV_WILLNEED);
}

void MappedFile::release(std::span<const std::byte> bytes) const {
  // Whole pages alone: others may still be reading what stands beside.
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = (reinterpret_cast<uintptr_t>(bytes.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(bytes.data() + bytes.size()) / page * page;
  if (first < end) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  // The rename at the end would put a plain file in the place of a device such as /dev/null.
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) fail_not_regular(path_, status);
  // Process id and count keep two writers of the same file from writing into one another's half-made copy.
  static std::atomic<uint64_t> count{0};
  aside_ = path_;
  aside_ += std::string(kAsideMark) + std::to_string(::getpid()) + "-" + std::to_string(count++);
  descriptor_ = ::open(aside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_to_write(path_, "create the file");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(aside_.c_str());
}

bool AtomicFile::is_aside(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const size_t mark = name.rfind(kAsideMark);
  if (mark == std::string::npos || mark == 0) return false;
  const std::string_view numbers = std::string_view(name).substr(mark + kAsideMark.size());
  const size_t dash = numbers.find('-');
  return dash != std::string_view::npos && is_number(numbers.substr(0, dash)) && is_number(numbers.substr(dash + 1));
}

void AtomicFile::fail(const char* doing) const {
  fail_to_write(path_, doing);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    // EFAULT: memory that a driver has mapped, which the kernel does not hold for a disk.
    if (put < 0 && (errno == EINVAL || errno == EFAULT) && bypasses_cache_) {
      bypass_cache(false);
      continue;
    }
    if (put < 0) fail("write the file");
    bytes = bytes.subspan(static_cast<size_t>(put));
    size_ += static_cast<uint64_t>(put);
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("write the file");
    bytes = bytes.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
}

void AtomicFile::bypass_cache(bool bypass) {
  const int flags = ::fcntl(descriptor_, F_GETFL);
  if (flags < 0) return;
  const int wanted = bypass ? flags | O_DIRECT : flags & ~O_DIRECT;
  bypasses_cache_ = ::fcntl(descriptor_, F_SETFL, wanted) == 0 && bypass;
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail("sync the file to disk");
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0 || ::rename(aside_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(aside_.c_str());
    errno = error;
    fail("move the finished file into place");
  }
  sync_folder(path_.parent_path());
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

bool is_there(const std::filesystem::path& path) noexcept {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code error, ignored;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    found.push_back(entry->path());
  }
  const bool is_none = error == std::errc::no_such_file_or_directory &&
                       !std::filesystem::is_symlink(std::filesystem::symlink_status(folder, ignored));
  if (error && !is_none) {
    throw UserError({.what = "cannot look into the folder: " + error.message(), .where = folder.string()});
  }
  return found;
}

void make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  const bool made = !error && std::filesystem::is_directory(path, error);
  if (!made) {
    throw UserError(
        {.what = "cannot make the folder: " + (error ? error.message() : std::string("a file is in the way")),
         .where = path.string(),
         .hint = "choose a folder that you may write to"});
  }
}

void sync_folder(const std::filesystem::path& path) {
  const int descriptor = ::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

uint64_t checksum(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

uint64_t checksum(std::string_view text) {
  return checksum(std::as_bytes(std::span(text)));
}

std::string to_hex(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace capture
