#include "capture/base/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "common/testing.h"

namespace capture {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

class AvailableMemory : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(folder_.path(name)).parent_path());
    folder_.file(name, text);
  }

  void SetUp() override {
    write("proc/meminfo", "MemTotal:  2097152 kB\nMemAvailable:  1048576 kB\nBuffers: 7 kB\n");
    write("proc/self/cgroup", "0::/slurm/job_7\n");
  }

  int64_t available() const { return available_memory(folder_.path("")); }

  testing::Folder folder_;
};

TEST_F(AvailableMemory, IsTheMachinesWithoutControlGroups) {
  EXPECT_EQ(available(), 1024 * kMiB);
}

TEST_F(AvailableMemory, StaysWithinTheTightestLimitAround) {
  write("sys/fs/cgroup/slurm/job_7/memory.max", "max\n");
  write("sys/fs/cgroup/slurm/memory.max", std::to_string(500 * kMiB) + "\n");
  write("sys/fs/cgroup/slurm/memory.current", std::to_string(300 * kMiB) + "\n");
  EXPECT_EQ(available(), 200 * kMiB);
  // Half of what is used is kept of files.
  write("sys/fs/cgroup/slurm/memory.stat", "anon 5\ninactive_file " + std::to_string(90 * kMiB) + "\nactive_file " +
                                               std::to_string(50 * kMiB) + "\nslab_reclaimable " +
                                               std::to_string(10 * kMiB) + "\n");
  EXPECT_EQ(available(), 350 * kMiB);
  write("sys/fs/cgroup/memory.max", std::to_string(100 * kMiB) + "\n");
  EXPECT_EQ(available(), 100 * kMiB);
}

TEST_F(AvailableMemory, IsNeverNegative) {
  write("sys/fs/cgroup/memory.max", "10\n");
  write("sys/fs/cgroup/memory.current", "30\n");
  EXPECT_EQ(available(), 0);
}

TEST(AnonymousMemory, GrowsWithWhatIsWritten) {
  const int64_t before = anonymous_memory();
  const std::vector<char> block(64 * kMiB, 'x');
  EXPECT_GE(anonymous_memory() - before, 60 * kMiB);
  EXPECT_EQ(block.back(), 'x');
}

TEST(ReturnPages, TakesThePagesAndLeavesTheBlockAndItsNeighbours) {
  constexpr size_t kBytes = 64 * kMiB, kEdge = 100;
  std::vector<char> block(kBytes, 'x');
  const int64_t before = anonymous_memory();
  return_pages(block.data() + kEdge, kBytes - 2 * kEdge);
  EXPECT_LT(anonymous_memory(), before - 60 * kMiB);
  EXPECT_EQ(std::count(block.begin(), block.begin() + kEdge, 'x'), kEdge);
  EXPECT_EQ(std::count(block.end() - kEdge, block.end(), 'x'), kEdge);
  EXPECT_EQ(block[kBytes / 2], 0);
  block.assign(kBytes, 'y');
  EXPECT_EQ(block[kBytes / 2], 'y');
  EXPECT_GT(anonymous_memory(), before - 4 * kMiB);
}

TEST(ReturnPages, LeavesBlocksWithoutAWholePage) {
  std::vector<char> block(100, 'x');
  return_pages(block.data(), block.size());
  return_pages(nullptr, 0);
  EXPECT_EQ(std::count(block.begin(), block.end(), 'x'), 100);
}

}  // namespace
}  // namespace capture
