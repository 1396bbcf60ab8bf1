#include "capture/train/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capture/base/error.h"

namespace capture {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Property;
using ::testing::Throws;

/// The state of a checkpoint that 4 processes wrote with batches of 6.
const Json kWrittenByFour = {{"world_size", 4}, {"config", {{"loader", {{"batch_size", 6}}}}}};

auto refusal(const std::string& what, const std::string& allowed) {
  return Throws<UserError>(Property(&UserError::what, AllOf(HasSubstr(what), HasSubstr(allowed))));
}

TEST(RunFolder, GoesOnWithOtherProcessesWhereTheirBatchesTogetherAreAsLarge) {
  EXPECT_NO_THROW(compare_processes(kWrittenByFour, 24, 1));
  EXPECT_NO_THROW(compare_processes(kWrittenByFour, 3, 8));
  EXPECT_THAT([] { compare_processes(kWrittenByFour, 6, 1); }, refusal("6 on each of 1", "loader.batch_size = 24"));
  EXPECT_THAT([] { compare_processes(kWrittenByFour, 6, 2); },
              refusal("written by 4 with 6", "loader.batch_size = 12"));
  EXPECT_THAT([] { compare_processes(kWrittenByFour, 5, 5); }, refusal("5 on each of 5", "divides 24"));
}

TEST(RunFolder, LeavesAChangedBatchOfTheSameProcessesToTheWarning) {
  EXPECT_NO_THROW(compare_processes(kWrittenByFour, 7, 4));
}

}  // namespace
}  // namespace capture
