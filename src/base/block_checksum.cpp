#include "capture/base/block_checksum.h"

#include <algorithm>
#include <bit>

#include "capture/base/files.h"
#include "capture/base/parallel.h"

namespace capture {

static_assert(std::endian::native == std::endian::little, "checksums are summed as they lie in memory");

uint64_t block_checksum(std::span<const uint64_t> checksums) {
  return checksum(std::as_bytes(checksums));
}

uint64_t block_checksum(std::span<const std::byte> bytes, size_t threads) {
  constexpr size_t kBlocksATurn = 64;  // 16 MiB: each thread reads on where it is, as disks and the kernel like it
  std::vector<uint64_t> blocks((bytes.size() + kChecksumBlock - 1) / kChecksumBlock);
  for_each_index((blocks.size() + kBlocksATurn - 1) / kBlocksATurn, threads, [&](size_t turn) {
    const size_t end = std::min(blocks.size(), (turn + 1) * kBlocksATurn);
    for (size_t i = turn * kBlocksATurn; i < end; ++i) {
      const size_t begin = i * kChecksumBlock;
      blocks[i] = checksum(bytes.subspan(begin, std::min(kChecksumBlock, bytes.size() - begin)));
    }
  });
  return block_checksum(blocks);
}

void RunningBlockChecksum::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), kChecksumBlock - used_));
    sum_.add(part);
    used_ += part.size();
    bytes = bytes.subspan(part.size());
    if (used_ < kChecksumBlock) continue;
    blocks_.push_back(sum_.value());
    sum_.restart();
    used_ = 0;
  }
}

uint64_t RunningBlockChecksum::value() const {
  std::vector<uint64_t> all = blocks_;
  if (used_ > 0) all.push_back(sum_.value());
  return block_checksum(all);
}

}  // namespace capture
