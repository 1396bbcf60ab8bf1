#include "capture/retrieval/analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "capture/retrieval/metrics.h"
#include "lists.h"

namespace capture {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pointwise;
using ::testing::SizeIs;

const QueryFilter kAll = [](const GroundTruthQuery&) { return true; };

/// Cups and pans in a gallery, and rankings written as ids.
class AnalysisTest : public ::testing::Test {
 protected:
  const ProductList gallery =
      list_of("gallery",
              {{"c1", {"cup"}}, {"c2", {"cup"}}, {"p1", {"pan"}}, {"p2", {"pan"}}, {"p3", {"pan"}}, {"l1", {"lid"}}});
  const std::vector<ProductList> lists{
      list_of("queries", {{"cup", {"cup"}}, {"pan", {"pan"}}, {"both", {"pan", "cup"}}, {"lost", {"spoon"}}})};
  const GroundTruth truth{gallery, lists};

  Rankings ranked(const std::vector<std::pair<std::string, std::vector<std::string>>>& lines) const {
    Rankings rankings;
    for (const auto& [query, ids] : lines) {
      Ranking& line = rankings.lines.emplace_back();
      line.query_id = query;
      line.query = truth.find_query(query);
      for (const std::string& id : ids) line.items.push_back(truth.find_item(id));
    }
    return rankings;
  }
};

TEST_F(AnalysisTest, FindsTheFirstHit) {
  const auto first = [&](const Rankings& rankings) {
    return first_hit(truth, truth.query(rankings.lines[0].query), rankings.lines[0].items);
  };
  EXPECT_EQ(first(ranked({{"cup", {"p1", "unknown", "c2", "c1"}}})), 3);
  EXPECT_EQ(first(ranked({{"cup", {"p1"}}})), 0);
  EXPECT_EQ(first(ranked({{"cup", {}}})), 0);
}

/// By the definition: the highest precision of any cutoff with such a recall.
double precision_at(const GroundTruth& truth, const Ranking& ranking, size_t percent) {
  const GroundTruthQuery& query = truth.query(ranking.query);
  double best = 0;
  size_t hits = 0;
  for (size_t k = 1; k <= ranking.items.size(); ++k) {
    hits += is_hit(truth, query, ranking.items[k - 1]);
    const bool reached = 100 * hits >= percent * static_cast<size_t>(query.positives);
    if (reached) best = std::max(best, static_cast<double>(hits) / static_cast<double>(k));
  }
  return best;
}

TEST_F(AnalysisTest, PrecisionByRecallIsTheHighestFromThereOn) {
  uint32_t state = 3;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> ids{"c1", "c2", "p1", "p2", "p3", "l1"};
    for (size_t i = ids.size(); i-- > 1;) {
      state = state * 1664525 + 1013904223;
      std::swap(ids[i], ids[(state >> 16) % (i + 1)]);
    }
    ids.resize(1 + (state >> 8) % ids.size());
    const Rankings rankings = ranked({{"cup", ids}, {"pan", ids}, {"both", ids}});
    const std::vector<double> got = precision_by_recall(truth, rankings, kAll);
    ASSERT_THAT(got, SizeIs(101));
    for (size_t percent = 0; percent <= 100; ++percent) {
      double mean = 0;
      for (const Ranking& ranking : rankings.lines) mean += precision_at(truth, ranking, percent) / 3;
      EXPECT_NEAR(got[percent], mean, 1e-12) << percent;
    }
  }
}

TEST_F(AnalysisTest, PassesOverWhatCannotBeJudged) {
  const Rankings rankings = ranked({{"lost", {"c1"}}, {"nobody", {"c1"}}});
  EXPECT_THAT(precision_by_recall(truth, rankings, kAll), IsEmpty());
  EXPECT_THAT(confusions(truth, rankings, 10, 10), IsEmpty());
  const Rankings more = ranked({{"nobody", {"c1"}}, {"cup", {"c1", "c2"}}});
  EXPECT_EQ(precision_by_recall(truth, more, kAll)[100], 1);
  EXPECT_THAT(precision_by_recall(truth, more, [](const GroundTruthQuery& q) { return q.several_products(); }),
              IsEmpty());
}

TEST_F(AnalysisTest, CountsScoresOfHitsAndMissesApart) {
  Rankings rankings = ranked({{"cup", {"c1", "p1", "c2", "p2"}}});
  rankings.lines[0].scores = {1.0F, 0.75F, 0.5F, 0.0F};
  const ScoreHistogram all = score_histogram(truth, rankings, 10, 4);
  EXPECT_EQ(all.low, 0);
  EXPECT_EQ(all.high, 1);
  EXPECT_THAT(all.hits, ElementsAre(0, 0, 0.5, 0.5));
  EXPECT_THAT(all.misses, ElementsAre(0.5, 0, 0, 0.5));
  EXPECT_THAT(score_histogram(truth, rankings, 1, 4).hits, IsEmpty());  // one score is no range
  rankings.lines[0].scores.clear();
  EXPECT_THAT(score_histogram(truth, rankings, 10, 4).hits, IsEmpty());
}

TEST_F(AnalysisTest, GivesEachLabelItsQueries) {
  const Rankings rankings = ranked({{"cup", {"c1"}}, {"pan", {"c1", "p1"}}, {"both", {"p1", "c1"}}, {"lost", {"c1"}}});
  const double none = std::numeric_limits<double>::quiet_NaN();
  const auto results = results_by_label(truth, rankings, std::vector<double>{1, 0.25, 0.5, none}, 1);
  ASSERT_THAT(results, SizeIs(2));  // no query shows a lid, and the spoon's has no figure
  EXPECT_EQ(truth.label_name(results[0].label), "pan");
  EXPECT_EQ(results[0].queries, 2);
  EXPECT_EQ(results[0].value, 0.375);
  EXPECT_EQ(results[0].found, 0.5);
  EXPECT_EQ(results[1].value, 0.75);
  EXPECT_EQ(results[1].found, 0.5);
}

TEST_F(AnalysisTest, CountsWhatStandsAtThePlacesOfMatches) {
  // Two places count for a cup, three for a pan; a query of both shares its five.
  const Rankings rankings =
      ranked({{"cup", {"p1", "c1", "l1"}}, {"pan", {"p1", "l1", "c1"}}, {"both", {"l1", "c1", "c2"}}});
  const auto found = confusions(truth, rankings, 10, 2);
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(truth.label_name(found[0].asked), "pan");
  EXPECT_EQ(truth.label_name(found[0].found), "lid");
  EXPECT_EQ(found[0].places, 1.5);
  EXPECT_EQ(found[0].all, 3 + 1.5);
  EXPECT_EQ(found[1].places, 1);
}

}  // namespace
}  // namespace capture
