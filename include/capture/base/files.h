// Files: read whole, mapped, written so that a reader never sees half of one, and checksummed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace capture {

/// The whole file as bytes. UserError when it cannot be read or is larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, uint64_t limit = uint64_t{1} << 30);

/// A read-only memory map of a file; empty files map to an empty span. Movable, not copyable.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
  size_t size() const { return size_; }

  /// Asks the kernel to read `length` bytes from `offset` ahead of use (madvise). Never fails.
  void prefetch(size_t offset, size_t length) const;
  /// Tells the kernel that these bytes will not be needed soon. They stay what they are. Never fails.
  void release(std::span<const std::byte> bytes) const;

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

/// Writes a file aside, and on commit() syncs it and renames it into place. Without commit() nothing is left behind.
/// Every failed write, sync or rename (a full disk, a read-only folder) is a UserError that names the file.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Whether a file has the name of one that is written aside, NAME.part-<process>-<count>: what a kill leaves behind.
  static bool is_aside(const std::filesystem::path& path);

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Overwrites `bytes.size()` bytes at `offset`, which must have been written before (a header filled in at the end).
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t size() const { return size_; }
  /// Whether to write past the page cache (O_DIRECT) from now on. Then memory, size and place of every write must be
  /// multiples of 4096. A file system that cannot do so writes through the cache as before.
  void bypass_cache(bool bypass);
  void commit();

 private:
  [[noreturn]] void fail(const char* doing) const;

  std::filesystem::path path_;
  std::filesystem::path aside_;
  int descriptor_ = -1;
  bool bypasses_cache_ = false;
  uint64_t size_ = 0;
};

/// AtomicFile in one call.
void write_file(const std::filesystem::path& path, std::string_view text);

/// Whether the path leads to something. Never throws: what cannot be looked at (no permission, links in a circle, a
/// name that is too long) counts as not there, and opening or making it says why.
bool is_there(const std::filesystem::path& path) noexcept;

/// What lies in a folder, in no order; nothing where there is none. UserError when it cannot be looked into, a link
/// that leads nowhere among the reasons.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);

/// Makes a folder and its parents. UserError, naming the first part that cannot be made, when it fails.
void make_folder(const std::filesystem::path& path);

/// fsync of a folder: makes a rename inside it survive a power cut.
void sync_folder(const std::filesystem::path& path);

/// 64-bit XXH3 of the bytes: fast enough to check data while it is read, not a defence against forgery.
uint64_t checksum(std::span<const std::byte> bytes);
uint64_t checksum(std::string_view text);

/// 16 hexadecimal digits.
std::string to_hex(uint64_t value);

}  // namespace capture
