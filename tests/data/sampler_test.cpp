#include "capture/data/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

namespace capture {
namespace {

std::vector<int64_t> order_of(const Sampler& sampler, uint64_t epoch) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < sampler.size(); ++i) order.push_back(sampler.at(epoch, i));
  return order;
}

std::vector<int64_t> counted(int64_t size) {
  std::vector<int64_t> all(static_cast<size_t>(size));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

TEST(Permutation, IsOneForEverySize) {
  for (int64_t size = 1; size < 300; ++size) {
    const Permutation permutation(size, 5, 2);
    std::vector<int64_t> values;
    for (int64_t i = 0; i < size; ++i) values.push_back(permutation(i));
    std::ranges::sort(values);
    ASSERT_EQ(values, counted(size)) << size;
  }
}

TEST(Permutation, ReachesFarEndsOfHugeDomains) {
  const int64_t size = (int64_t{1} << 40) + 12345;
  const Permutation permutation(size, 1, 1);
  int64_t largest = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    const int64_t value = permutation(size - 1 - i);
    ASSERT_GE(value, 0);
    ASSERT_LT(value, size);
    largest = std::max(largest, value);
  }
  EXPECT_GT(largest, size / 10 * 9);
}

TEST(Permutation, PutsEverySampleEverywhereAboutEquallyOften) {
  // 20 values at 20 places over 20,000 epochs: each cell expects 1000, and chi-squared of 361 degrees of freedom stays
  // below 480 but once in 30,000 draws of a fair shuffle.
  constexpr int64_t kSize = 20;
  constexpr int64_t kEpochs = 20000;
  std::vector<std::vector<double>> seen(kSize, std::vector<double>(kSize, 0.0));
  for (uint64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const Permutation permutation(kSize, 42, epoch);
    for (int64_t i = 0; i < kSize; ++i) ++seen[static_cast<size_t>(i)][static_cast<size_t>(permutation(i))];
  }
  double chi_squared = 0;
  const double expected = double{kEpochs} / kSize;
  for (const auto& row : seen) {
    for (const double count : row) chi_squared += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_squared, 480);
  EXPECT_GT(chi_squared, 260);
}

TEST(Sampler, ShowsEverySampleOnceAnEpochOverAllRanks) {
  for (const int64_t size : {1, 2, 7, 8, 9, 63, 64, 65, 100}) {
    for (int64_t world = 1; world <= 64; world = world < 8 ? world + 1 : world * 2) {
      std::map<int64_t, int64_t> wrapped;
      std::map<int64_t, int64_t> dropped;
      for (int64_t rank = 0; rank < world; ++rank) {
        const Sampler wrap(size, 3, true, rank, world, Remainder::wrap);
        const Sampler drop(size, 3, true, rank, world, Remainder::drop);
        ASSERT_EQ(wrap.size(), (size + world - 1) / world);
        ASSERT_EQ(drop.size(), size / world);
        for (const int64_t sample : order_of(wrap, 9)) ++wrapped[sample];
        for (const int64_t sample : order_of(drop, 9)) ++dropped[sample];
      }
      ASSERT_EQ(static_cast<int64_t>(wrapped.size()), size);
      const int64_t shares = (size + world - 1) / world * world;
      for (const auto& [sample, count] : wrapped) {
        ASSERT_GE(count, shares / size);
        ASSERT_LE(count, (shares + size - 1) / size);
      }
      ASSERT_EQ(static_cast<int64_t>(dropped.size()), size / world * world);
      for (const auto& [sample, count] : dropped) ASSERT_EQ(count, 1);
    }
  }
}

TEST(Sampler, KeepsTheSamplesOfAGlobalBatchWhateverTheWorld) {
  constexpr int64_t kSize = 96;
  constexpr int64_t kGlobalBatch = 24;
  const auto step = [&](int64_t world, int64_t number) {
    std::vector<int64_t> samples;
    const int64_t own = kGlobalBatch / world;
    for (int64_t rank = 0; rank < world; ++rank) {
      const Sampler sampler(kSize, 11, true, rank, world);
      for (int64_t i = number * own; i < (number + 1) * own; ++i) samples.push_back(sampler.at(4, i));
    }
    std::ranges::sort(samples);
    return samples;
  };
  for (int64_t number = 0; number < kSize / kGlobalBatch; ++number) {
    for (const int64_t world : {2, 3, 4, 8}) EXPECT_EQ(step(world, number), step(1, number));
  }
}

TEST(Sampler, OrdersByEpochAndSeed) {
  const Sampler sampler(50, 1, true);
  EXPECT_EQ(order_of(sampler, 0), order_of(Sampler(50, 1, true), 0));
  EXPECT_NE(order_of(sampler, 0), order_of(sampler, 1));
  EXPECT_NE(order_of(sampler, 0), order_of(Sampler(50, 2, true), 0));
}

TEST(Sampler, KeepsTheStoredOrderWithoutShuffling) {
  EXPECT_EQ(order_of(Sampler(30, 1, false), 3), counted(30));
}

TEST(Mixture, IsTheIdentityWithoutWeights) {
  const Mixture mixture({3, 5}, {}, 1);
  ASSERT_EQ(mixture.size(), 8);
  for (int64_t place = 0; place < 8; ++place) EXPECT_EQ(mixture.at(4, place), (SampleDraw{place, 0}));
}

TEST(Mixture, ShowsWholeRoundsOfEverySampleAndADrawnRest) {
  const Mixture mixture({10, 4, 7}, {2.3, 0.0, 1.0}, 1);
  ASSERT_EQ(mixture.size(), 23 + 7);
  std::vector<int64_t> rest(10, 0);
  for (uint64_t epoch = 0; epoch < 100; ++epoch) {
    std::map<int64_t, std::vector<int64_t>> copies;
    for (int64_t place = 0; place < mixture.size(); ++place) {
      const SampleDraw drawn = mixture.at(epoch, place);
      copies[drawn.sample].push_back(drawn.copy);
    }
    ASSERT_EQ(copies.size(), 17U) << "the part of weight 0 is never shown";
    for (const auto& [sample, numbers] : copies) {
      const auto times = static_cast<int64_t>(numbers.size());
      EXPECT_EQ(numbers, counted(times)) << "each showing has a number of its own";
      EXPECT_TRUE(sample < 14 || times == 1);
      if (sample < 10) rest[static_cast<size_t>(sample)] += times - 2;
    }
  }
  // 3 of 10 samples an epoch: 30 of 100 times each, give or take four standard deviations.
  for (const int64_t times : rest) {
    EXPECT_GT(times, 30 - 19);
    EXPECT_LT(times, 30 + 19);
  }
}

}  // namespace
}  // namespace capture
