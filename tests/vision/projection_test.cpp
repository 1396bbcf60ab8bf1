// A feature's width can be anything; what it costs in distances is known.
#include "../../src/vision/projection.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "capture/tensor/random.h"

namespace capture {
namespace {

std::vector<float> random_vector(size_t width, uint64_t seed) {
  RandomStream random(seed, 0, 0);
  std::vector<float> values(width);
  for (float& value : values) value = 2 * random.uniform() - 1;
  return values;
}

std::vector<float> projected(const Projection& projection, const std::vector<float>& input) {
  std::vector<float> output(static_cast<size_t>(projection.width()), -1.0F);
  projection.apply(input, output);
  return output;
}

double squared(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double{value} * value;
  return sum;
}

TEST(Projection, FillsALargerWidthWithZeros) {
  const std::vector<float> input = random_vector(5, 1);
  EXPECT_EQ(projected(Projection(5, 5, 1), input), input);
  std::vector<float> longer = input;
  longer.resize(8, 0.0F);
  EXPECT_EQ(projected(Projection(5, 8, 1), input), longer);
}

TEST(Projection, KeepsLengthsNearlyAndOnAverage) {
  const Projection projection(600, 256, 3);
  double ratio = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> input = random_vector(600, 1000 + seed);
    const double kept = squared(projected(projection, input)) / squared(input);
    EXPECT_NEAR(kept, 1, 0.4);
    ratio += kept / 50;
  }
  EXPECT_NEAR(ratio, 1, 0.05);
  // All of a feature in one number is the hard case: the transform spreads it over every output.
  std::vector<float> spike(600, 0.0F);
  spike[17] = 1;
  EXPECT_NEAR(squared(projected(projection, spike)), 1, 1e-4);
}

TEST(Projection, IsFixedByItsSeed) {
  const std::vector<float> input = random_vector(100, 9);
  EXPECT_EQ(projected(Projection(100, 30, 5), input), projected(Projection(100, 30, 5), input));
  EXPECT_NE(projected(Projection(100, 30, 5), input), projected(Projection(100, 30, 6), input));
}

TEST(Projection, WorksAtEveryWidth) {
  for (const int64_t from : {1, 2, 3, 64, 601}) {
    for (const int64_t to : {1, 2, 63, 64, 65, 601, 2048}) {
      const std::vector<float> output = projected(Projection(from, to, 1), random_vector(static_cast<size_t>(from), 2));
      for (const float value : output) EXPECT_TRUE(std::isfinite(value));
      EXPECT_GT(squared(output), 0);
    }
  }
}

}  // namespace
}  // namespace capture
