#include "capture/train/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace capture {
namespace {

using ::testing::DoubleNear;
using ::testing::Pointwise;

std::vector<double> factors(const ScheduleOptions& options, int64_t total) {
  std::vector<double> values;
  for (int64_t step = 0; step < total; ++step) values.push_back(learning_rate_factor(options, step, total));
  return values;
}

TEST(Schedule, LinearRisesAndFallsToOneStepPastTheEnd) {
  const ScheduleOptions options{.warmup_steps = 3};
  EXPECT_THAT(factors(options, 8), Pointwise(DoubleNear(1e-12), {0.25, 0.5, 0.75, 1.0, 0.8, 0.6, 0.4, 0.2}));
  EXPECT_DOUBLE_EQ(learning_rate_factor(options, 8, 8), 0.0);
}

TEST(Schedule, TheWarmUpMayBeAShareOfTheRun) {
  EXPECT_EQ(factors({.warmup_fraction = 0.25}, 12), factors({.warmup_steps = 3}, 12));
  EXPECT_DOUBLE_EQ(learning_rate_factor({.warmup_fraction = 0.0}, 0, 10), 1.0);
}

TEST(Schedule, CosineEndsAtTheFinalFraction) {
  const ScheduleOptions options{.type = ScheduleType::cosine, .warmup_fraction = 0.0, .final_fraction = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate_factor(options, 0, 100), 1.0);
  EXPECT_NEAR(learning_rate_factor(options, 50, 100), 0.55, 1e-12);
  EXPECT_NEAR(learning_rate_factor(options, 100, 100), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate_factor(options, 25, 100), 0.1 + 0.9 * (1 + std::sqrt(0.5)) / 2, 1e-12);
}

TEST(Schedule, ConstantStaysAtThePeakAfterTheWarmUp) {
  const ScheduleOptions options{.type = ScheduleType::constant, .warmup_steps = 1};
  EXPECT_THAT(factors(options, 4), Pointwise(DoubleNear(1e-12), {0.5, 1.0, 1.0, 1.0}));
}

TEST(Schedule, AWarmUpAsLongAsTheRunNeverDividesByZero) {
  for (const double factor : factors({.warmup_fraction = 1.0}, 5)) EXPECT_TRUE(factor > 0 && factor < 1);
  EXPECT_DOUBLE_EQ(learning_rate_factor({.warmup_fraction = 1.0}, 5, 5), 1.0);
}

}  // namespace
}  // namespace capture
