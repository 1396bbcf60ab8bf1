#include "capture/base/block_checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "capture/base/files.h"
#include "common/testing.h"

namespace capture {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(BlockChecksum, IsThatOfItsBlocksChecksums) {
  const std::string bytes = testing::numbered_bytes(2 * kChecksumBlock + 5);
  std::vector<uint64_t> blocks;
  for (size_t at = 0; at < bytes.size(); at += kChecksumBlock) {
    blocks.push_back(checksum(std::string_view(bytes).substr(at, kChecksumBlock)));
  }
  ASSERT_EQ(blocks.size(), 3U);
  EXPECT_EQ(block_checksum(bytes_of(bytes), 1), checksum(std::as_bytes(std::span(blocks))));
}

TEST(BlockChecksum, IsTheSameByAnyNumberOfThreadsAndInAnyParts) {
  for (const size_t size :
       {size_t{0}, size_t{1}, kChecksumBlock - 1, kChecksumBlock, 65 * kChecksumBlock, 150 * kChecksumBlock + 77}) {
    const std::string bytes = testing::numbered_bytes(size);
    const uint64_t sum = block_checksum(bytes_of(bytes), 1);
    EXPECT_EQ(block_checksum(bytes_of(bytes), 4), sum) << size;
    RunningBlockChecksum running;
    size_t part = 1;
    for (size_t at = 0; at < size; part = part * 5 % 1'000'003) {
      const size_t next = std::min(part, size - at);
      running.add(bytes_of(bytes).subspan(at, next));
      at += next;
    }
    EXPECT_EQ(running.value(), sum) << size;
    EXPECT_EQ(running.value(), sum) << "asking changes nothing";
  }
}

TEST(BlockChecksum, SeesEveryBlockAndTheLength) {
  const std::string good = testing::numbered_bytes(3 * kChecksumBlock);
  const uint64_t sum = block_checksum(bytes_of(good), 2);
  for (const size_t at : {size_t{0}, kChecksumBlock, 3 * kChecksumBlock - 1}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_NE(block_checksum(bytes_of(bad), 2), sum) << at;
  }
  EXPECT_NE(block_checksum(bytes_of(good.substr(0, 2 * kChecksumBlock)), 2), sum);
  std::string exchanged = good;
  std::swap_ranges(exchanged.begin(), exchanged.begin() + kChecksumBlock, exchanged.begin() + kChecksumBlock);
  EXPECT_NE(block_checksum(bytes_of(exchanged), 2), sum);
}

}  // namespace
}  // namespace capture
