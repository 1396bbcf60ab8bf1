#include "capture/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capture/base/rank_log.h"
#include "common/testing.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;

class Log : public ::testing::Test {
 protected:
  ~Log() override { spdlog::set_default_logger(before_); }

  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  const testing::Folder folder_;
};

TEST_F(Log, FileHoldsWhatWasSaidBeforeItWasThere) {
  start_logging();
  log::warn("early");
  log_to_file(folder_.path("log.txt"));
  log::info("late");
  log_error_to_files("last");
  EXPECT_THAT(testing::lines_of(testing::read(folder_.path("log.txt"))),
              ElementsAre(EndsWith(" warning early"), EndsWith(" info late"), EndsWith(" error last")));
}

TEST_F(Log, FileThatCannotBeWrittenIsNamed) {
  start_logging();
  EXPECT_THAT(testing::error_of([&] { log_to_file("/dev/null/log.txt"); }), ::testing::HasSubstr("/dev/null/log.txt"));
}

}  // namespace
}  // namespace capture
