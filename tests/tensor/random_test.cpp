#include "capture/tensor/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace capture {
namespace {

TEST(Philox, GivesThePublishedValues) {
  // The known-answer vectors of Random123's philox4x32-10.
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox(0, 0, 0), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ULL, ~0ULL, ~0ULL), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822ULL, 0x85a308d3243f6a88ULL, 0x0370734413198a2eULL),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, RepeatsItself) {
  RandomStream one(1, 2, 3, 4);
  RandomStream two(1, 2, 3, 4);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(one.next(), two.next());
}

TEST(RandomStream, DiffersByEveryPartOfItsKey) {
  std::set<uint64_t> firsts;
  size_t streams = 0;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    for (uint64_t epoch = 0; epoch < 5; ++epoch) {
      for (uint64_t item = 0; item < 5; ++item) {
        for (uint32_t purpose = 0; purpose < 5; ++purpose, ++streams) {
          RandomStream random(seed, epoch, item, purpose);
          const uint64_t high = random.next();
          firsts.insert(high << 32 | random.next());
        }
      }
    }
  }
  EXPECT_EQ(firsts.size(), streams);
}

TEST(RandomStream, DrawsUniformly) {
  RandomStream random(42, 0, 0);
  constexpr int kDraws = 100000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const float value = random.uniform();
    ASSERT_GE(value, 0.0F);
    ASSERT_LT(value, 1.0F);
    sum += value;
    squares += double{value} * value;
  }
  // Five standard errors.
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / kDraws));
}

TEST(RandomStream, DrawsBelowABoundWithoutBias) {
  for (const uint32_t bound : {1U, 2U, 3U, 7U, 21128U, 0x80000001U}) {
    RandomStream random(1, 1, bound);
    double sum = 0;
    constexpr int kDraws = 50000;
    for (int i = 0; i < kDraws; ++i) {
      const uint32_t value = random.below(bound);
      ASSERT_LT(value, bound);
      sum += value;
    }
    const double spread = std::sqrt((static_cast<double>(bound) * bound - 1) / 12 / kDraws);
    EXPECT_NEAR(sum / kDraws, (bound - 1.0) / 2, 5 * spread + 1e-12) << bound;
  }
  // Four values of 32 bits fall on every three below this bound: without rejection one of the three comes twice as
  // often.
  RandomStream random(9, 9, 9);
  std::vector<int> residues(3, 0);
  for (int i = 0; i < 90000; ++i) ++residues[random.below(0xC0000000U) % 3];
  for (const int count : residues) EXPECT_NEAR(count, 30000, 5 * std::sqrt(20000.0));
}

TEST(RandomStream, ReachesEveryValueOfASmallBound) {
  RandomStream random(5, 5, 5);
  std::vector<int> counts(6, 0);
  for (int i = 0; i < 60000; ++i) ++counts[random.below(6)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 5 * std::sqrt(10000.0 * 5 / 6));
}

}  // namespace
}  // namespace capture
