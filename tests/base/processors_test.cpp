#include "capture/base/processors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "common/testing.h"

namespace capture {
namespace {

/// Two nodes of two cores with two hardware threads each, numbered as servers do: first one thread of every core.
const std::vector<Processor> kServer = {{.number = 0, .core = 0, .node = 0}, {.number = 4, .core = 0, .node = 0},
                                        {.number = 1, .core = 1, .node = 0}, {.number = 5, .core = 1, .node = 0},
                                        {.number = 2, .core = 2, .node = 1}, {.number = 6, .core = 2, .node = 1},
                                        {.number = 3, .core = 3, .node = 1}, {.number = 7, .core = 3, .node = 1}};

std::string share(int64_t index, int64_t count) {
  return names_of(share_of_processors(kServer, index, count));
}

TEST(Processors, AreDividedIntoWholeCoresOfOneNode) {
  EXPECT_EQ(share(0, 1), "0-7");
  EXPECT_EQ(share(0, 2), "0-1, 4-5");
  EXPECT_EQ(share(1, 2), "2-3, 6-7");
  EXPECT_EQ(share(3, 4), "3, 7");
}

TEST(Processors, ThatDoNotDivideAreDealtOutWithoutRest) {
  EXPECT_EQ(share(0, 3), "0, 4");
  EXPECT_EQ(share(1, 3), "1, 5");
  EXPECT_EQ(share(2, 3), "2-3, 6-7");
}

TEST(Processors, AreSharedByMoreProcessesThanCores) {
  EXPECT_EQ(share(3, 6), "3, 7");
  EXPECT_EQ(share(4, 6), "0, 4");
  EXPECT_TRUE(share_of_processors({}, 0, 2).empty());
}

/// Makes the files in which Linux describes processors this process has.
TEST(Processors, LieAsTheSystemSays) {
  const testing::Folder system;
  const auto allowed = allowed_processors();
  ASSERT_FALSE(allowed.empty());
  for (const auto& each : allowed) {
    const std::filesystem::path folder =
        std::filesystem::path(system.path("sys/devices/system/cpu")) / ("cpu" + std::to_string(each.number));
    std::filesystem::create_directories(folder / "topology");
    // The later, the lower the node: what comes first is then what was last.
    std::filesystem::create_directories(folder / ("node" + std::to_string(9000 - each.number)));
    std::ofstream(folder / "topology/thread_siblings_list") << each.number << "-9999\n";
  }
  const auto seen = allowed_processors(system.path(""));
  ASSERT_EQ(seen.size(), allowed.size());
  EXPECT_TRUE(std::ranges::is_sorted(seen, {}, &Processor::node));
  for (const auto& each : seen) {
    EXPECT_EQ(each.node, 9000 - each.number);
    EXPECT_EQ(each.core, each.number);
  }
}

TEST(Processors, WithoutADescriptionAreCoresOfOneNode) {
  const testing::Folder nothing;
  for (const auto& each : allowed_processors(nothing.path(""))) {
    EXPECT_EQ(each.core, each.number);
    EXPECT_EQ(each.node, 0);
  }
}

TEST(Processors, HoldAThreadAndThoseThatItStarts) {
  std::jthread([] {
    const auto before = allowed_processors();
    const std::vector<Processor> last = {before.back()};
    ASSERT_TRUE(stay_on(last));
    EXPECT_EQ(allowed_processors(), last);
    std::jthread([&] { EXPECT_EQ(allowed_processors(), last); }).join();
    EXPECT_TRUE(stay_on(before));
    EXPECT_FALSE(stay_on({}));
  }).join();
}

}  // namespace
}  // namespace capture
