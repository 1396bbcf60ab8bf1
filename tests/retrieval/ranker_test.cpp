#include "capture/retrieval/ranker.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "lists.h"

namespace capture {
namespace {

using testing::ElementsAre;

GroundTruth small_truth() {
  return GroundTruth(list_of("gallery", {{"b", {"cup"}}, {"a", {"pan"}}, {"c", {"lid"}}}),
                     std::vector{list_of("queries", {{"q1", {"cup"}}, {"q2", {"pan"}}})});
}

TEST(Ranker, RanksTheGalleryForEveryQuery) {
  const at::Tensor gallery = at::eye(3);
  const at::Tensor queries = at::tensor({0.5f, 0.5f, 0.7f, 0.0f, 0.0f, 1.0f}).view({2, 3});
  const GroundTruth truth = small_truth();
  const Rankings rankings = rank(queries, gallery, truth, {.depth = 2});
  ASSERT_EQ(rankings.lines.size(), 2u);
  EXPECT_EQ(rankings.lines[0].query_id, "q1");
  EXPECT_EQ(rankings.lines[0].line, 1);
  EXPECT_THAT(rankings.lines[0].items, ElementsAre(2, 1)) << "'a' stands before 'b', which scores the same";
  EXPECT_THAT(rankings.lines[0].scores, ElementsAre(0.7f, 0.5f));
  EXPECT_THAT(rankings.lines[1].items, ElementsAre(2, 1));
}

TEST(Ranker, ChanceIsAFunctionOfTheSeedAndFavoursNothing) {
  const GroundTruth truth = small_truth();
  std::map<std::vector<int32_t>, int> seen;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    const Rankings rankings = rank_by_chance(truth, 2, seed);
    for (const Ranking& ranking : rankings.lines) ++seen[ranking.items];
  }
  EXPECT_EQ(seen.size(), 6u) << "every ordered pair of three items";
  for (const auto& [items, count] : seen) EXPECT_NEAR(count, 1000, 130) << testing::PrintToString(items);
  EXPECT_EQ(rank_by_chance(truth, 2, 7).lines[1].items, rank_by_chance(truth, 2, 7).lines[1].items);
  EXPECT_EQ(rank_by_chance(truth, 99, 7).lines[1].items.size(), 3u);
}

}  // namespace
}  // namespace capture
