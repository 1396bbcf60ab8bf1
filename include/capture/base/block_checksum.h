// A checksum of large files, of which parts can be summed side by side, and while they are copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "capture/base/running_checksum.h"

namespace capture {

/// A file is cut into blocks of so many bytes, of which the last may be smaller. A block fits into a core's own cache.
inline constexpr size_t kChecksumBlock = size_t{256} << 10;

/// The block checksum of a file: checksum() (files.h) of its blocks' checksum()s, 8 little-endian bytes each.
uint64_t block_checksum(std::span<const uint64_t> checksums);

/// That of `bytes`, by up to `threads` threads.
uint64_t block_checksum(std::span<const std::byte> bytes, size_t threads);

/// That of bytes that come in parts.
class RunningBlockChecksum {
 public:
  void add(std::span<const std::byte> bytes);

  /// Of all bytes so far.
  uint64_t value() const;

 private:
  std::vector<uint64_t> blocks_;
  RunningChecksum sum_;  // of the block that has begun
  size_t used_ = 0;      // bytes of it
};

}  // namespace capture
