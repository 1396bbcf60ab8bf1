// Files of gigabytes, written at the speed of the disk.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "capture/base/files.h"
#include "capture/base/huge_pages.h"

namespace capture {

/// An AtomicFile for large files: what is written is collected into chunks, which a thread of its own writes past the
/// page cache, where the file system can, while the caller goes on. Copying gigabytes through the page cache costs a
/// core about as much as making them, and drives out what is read again. Chunks lie in huge pages where the system
/// grants them, so that the kernel has few of them to hold for the disk. A file smaller than a chunk is written as
/// AtomicFile does, without a thread. Memory: up to six chunks of 4 MiB.
class BulkFile {
 public:
  explicit BulkFile(std::filesystem::path path);
  /// Without commit() nothing is left behind.
  ~BulkFile();
  BulkFile(const BulkFile&) = delete;
  BulkFile& operator=(const BulkFile&) = delete;

  /// A write that failed on the thread is thrown by the next call.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  uint64_t size() const { return size_; }

  /// Writes the rest, then `head` over the file's first bytes (a header filled in at the end; at most size() bytes),
  /// syncs the file and moves it into place.
  void commit(std::span<const std::byte> head = {});

 private:
  using Chunk = HugePages;

  void hand_over();
  void write_chunks(const std::stop_token& stop);
  void rethrow();

  AtomicFile file_;
  uint64_t size_ = 0;
  Chunk chunk_;      // being filled
  size_t used_ = 0;  // bytes of it

  std::mutex mutex_;  // for what follows; file_ is the thread's while that runs
  std::condition_variable_any changed_;
  std::deque<Chunk> full_;  // to be written, in this order
  std::vector<Chunk> empty_;
  std::exception_ptr failure_;
  std::jthread thread_;  // the last member: it ends before the others do
};

}  // namespace capture
