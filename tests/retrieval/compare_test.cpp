#include "capture/retrieval/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "capture/base/json.h"

namespace capture {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pointwise;

/// Two figures, each of the same pairs: what is true of one must be true of the other.
PairedFigures twice(const std::vector<double>& first, const std::vector<double>& second) {
  PairedFigures figures{.figures = 2, .first = {}, .second = {}};
  for (size_t i = 0; i < first.size(); ++i) {
    figures.first.insert(figures.first.end(), {first[i], first[i]});
    figures.second.insert(figures.second.end(), {second[i], second[i]});
  }
  return figures;
}

/// Values of a system and of another that is a little better, in coarse steps.
PairedFigures drawn(size_t queries) {
  PairedFigures figures{.figures = 1, .first = {}, .second = {}};
  uint32_t state = 1;
  for (size_t i = 0; i < queries; ++i) {
    state = state * 1664525 + 1013904223;
    figures.first.push_back(0.1 * ((state >> 16) % 8));
    figures.second.push_back(figures.first.back() + 0.1 * (static_cast<double>((state >> 24) % 5) - 1.5));
  }
  return figures;
}

class AsScipyHasIt : public ::testing::Test {
 protected:
  const Json values = read_json(CAPTURE_TEST_DATA "/retrieval/paired_scipy.json").root;
};

TEST_F(AsScipyHasIt, RandomisationTestAndBootstrapInterval) {
  for (const Json& reference : values["cases"]) {
    const auto first = reference["first"].get<std::vector<double>>();
    const auto second = reference["second"].get<std::vector<double>>();
    SCOPED_TRACE(first.size());
    for (const PairedDifference& got : compare_paired(twice(first, second), {.flips = 20000, .resamples = 20000})) {
      const double p = reference["p"].get<double>();
      // A share of 20,000 random patterns is off by five standard errors once in a million.
      const double error = reference["exact"].get<bool>() ? 1e-12 : 1e-4 + 5 * std::sqrt(p * (1 - p) / 20000);
      EXPECT_NEAR(got.p, p, error);
      EXPECT_EQ(got.exact, reference["exact"].get<bool>());
      const double standard_error = reference["standard_error"].get<double>();
      EXPECT_NEAR(got.low, reference["low"].get<double>(), 0.12 * standard_error);
      EXPECT_NEAR(got.high, reference["high"].get<double>(), 0.12 * standard_error);
    }
  }
}

TEST_F(AsScipyHasIt, FalseDiscoveryRate) {
  for (const Json& family : values["families"]) {
    EXPECT_THAT(benjamini_hochberg(family["p"].get<std::vector<double>>()),
                Pointwise(DoubleNear(1e-12), family["benjamini_hochberg"].get<std::vector<double>>()));
  }
}

TEST(Compare, CountsWhatIsWonLostAndTied) {
  const PairedFigures figures{.figures = 2, .first = {0.5, 1, 0.25, 0, 0.75, 0}, .second = {1, 0, 0.25, 0, 0.5, 0}};
  const auto results = compare_paired(figures, {});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].won, 1);
  EXPECT_EQ(results[0].lost, 1);
  EXPECT_EQ(results[0].tied, 1);
  EXPECT_EQ(results[0].first, 0.5);
  EXPECT_EQ(results[0].second, 1.75 / 3);
  EXPECT_EQ(results[1].lost, 1);
  EXPECT_EQ(results[1].tied, 2);
  EXPECT_EQ(results[1].p, 1);  // one query that differs can go either way
}

TEST(Compare, FindsNoDifferenceBetweenEquals) {
  const auto results = compare_paired(twice({0.1, 0.2, 0.9}, {0.1, 0.2, 0.9}), {});
  EXPECT_EQ(results[0].p, 1);
  EXPECT_EQ(results[0].difference, 0);
  EXPECT_EQ(results[0].low, 0);
  EXPECT_EQ(results[0].high, 0);
}

TEST(Compare, SwappingTheSystemsSwapsTheSigns) {
  const PairedFigures figures = drawn(200);
  const auto there = compare_paired(figures, {});
  const auto back = compare_paired({.figures = 1, .first = figures.second, .second = figures.first}, {});
  EXPECT_EQ(there[0].p, back[0].p);
  EXPECT_NEAR(there[0].low, -back[0].high, 1e-12);
  EXPECT_EQ(there[0].won, back[0].lost);
  EXPECT_LT(there[0].low, there[0].difference);
  EXPECT_GT(there[0].high, there[0].difference);
}

TEST(Compare, GivesTheSameForTheSameSeedWhateverTheThreads) {
  const PairedFigures figures = drawn(300);
  const auto one = compare_paired(figures, {.threads = 1});
  for (const unsigned threads : {2U, 3U, 7U}) {
    const auto many = compare_paired(figures, {.threads = threads});
    EXPECT_EQ(one[0].p, many[0].p);
    EXPECT_EQ(one[0].low, many[0].low);
    EXPECT_EQ(one[0].high, many[0].high);
  }
  EXPECT_NE(one[0].low, compare_paired(figures, {.seed = 2})[0].low);
}

TEST(Compare, KeepsItsPromiseWhereThereIsNoDifference) {
  // 400 comparisons of two systems that differ by chance alone: about 20 are below 0.05.
  int64_t claims = 0;
  uint32_t state = 7;
  for (int i = 0; i < 400; ++i) {
    PairedFigures figures{.figures = 1, .first = {}, .second = {}};
    for (int query = 0; query < 30; ++query) {
      for (std::vector<double>* side : {&figures.first, &figures.second}) {
        state = state * 1664525 + 1013904223;
        side->push_back(static_cast<double>(state >> 8));
      }
    }
    if (compare_paired(figures, {.flips = 999, .resamples = 10})[0].p <= 0.05) ++claims;
  }
  EXPECT_GT(claims, 5);
  EXPECT_LT(claims, 40);
}

TEST(Compare, NothingComesOfNothing) {
  EXPECT_THAT(compare_paired({}, {}), IsEmpty());
  EXPECT_THAT(holm({}), IsEmpty());
  EXPECT_THAT(benjamini_hochberg({}), IsEmpty());
}

TEST(Compare, AdjustsAFamilyOfTests) {
  EXPECT_THAT(holm(std::vector<double>{0.01, 0.04, 0.03, 0.005}),
              Pointwise(DoubleNear(1e-12), {0.03, 0.06, 0.06, 0.02}));
  EXPECT_THAT(holm(std::vector<double>{0.6, 0.7}), ElementsAre(1, 1));
}

TEST(Compare, QuantilesStandBetweenNeighbours) {
  std::vector<double> values{4, 1, 3, 2};
  EXPECT_EQ(quantile(values, 0), 1);
  EXPECT_EQ(quantile(values, 0.5), 2.5);
  EXPECT_EQ(quantile(values, 1), 4);
  std::vector<double> single{7};
  EXPECT_EQ(quantile(single, 0.3), 7);
}

}  // namespace
}  // namespace capture
