#include "capture/retrieval/rankings.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <string>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "lists.h"

namespace capture {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class RankingsTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  GroundTruth truth_{list_of("gallery", {{"g1", {"cup"}}, {"g2", {"pan"}}, {"g3", {"pan"}}}),
                     std::vector{list_of("a", {{"q1", {"cup"}}}), list_of("b", {{"q2", {"pan"}}})}};
  std::filesystem::path path_ = std::filesystem::temp_directory_path() / ("rankings-" + std::to_string(::getpid()));
};

TEST_F(RankingsTest, EveryLineIsARanking) {
  write_file(path_, "q2,g3,nothing,g1,\n\nq1\nq9,g2\n");
  const Rankings rankings = read_rankings(path_, truth_);
  ASSERT_THAT(rankings.lines, SizeIs(4));
  EXPECT_EQ(rankings.lines[0].query, 1);
  EXPECT_THAT(rankings.lines[0].items, ElementsAre(2, kUnknown, 0, kUnknown));
  EXPECT_THAT(rankings.lines[0].unknown, ElementsAre("nothing", ""));
  EXPECT_EQ(rankings.lines[1].query, kUnknown);
  EXPECT_THAT(rankings.lines[2].items, IsEmpty());
  EXPECT_EQ(rankings.lines[3].query_id, "q9");
  EXPECT_EQ(rankings.where(rankings.lines[3]), path_.string() + ":4");
}

TEST_F(RankingsTest, WhatIsWrittenReadsBack) {
  const std::string text = "q2,g3,nothing,g1,\nq1\nq9,g2\n";
  write_file(path_, text);
  const Rankings rankings = read_rankings(path_, truth_);
  write_rankings(path_, rankings, truth_);
  EXPECT_EQ(read_file(path_), text);
  write_rankings(path_, rankings, truth_, 2);
  EXPECT_EQ(read_file(path_), "q2,g3,nothing\nq1\nq9,g2\n");
}

TEST_F(RankingsTest, IdsThatCouldNotBeReadBackAreNotWritten) {
  const GroundTruth truth(list_of("gallery", {{"a,b", {"cup"}}}), std::vector{list_of("q", {{"q1", {"cup"}}})});
  Rankings rankings;
  rankings.lines.resize(1);
  rankings.lines[0].query_id = "q1";
  rankings.lines[0].items = {0};
  EXPECT_THROW(write_rankings(path_, rankings, truth), UserError);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(RankingsTest, AnIdListedTwiceTakesItsLastLabels) {
  const GroundTruth truth(list_of("gallery", {{"g1", {"cup"}}, {"g2", {"pan"}}, {"g1", {"pan"}}}),
                          std::vector{list_of("a", {{"q1", {"cup"}}}), list_of("b", {{"q1", {"pan", "pan"}}})});
  EXPECT_EQ(truth.gallery_size(), 2);
  EXPECT_EQ(truth.query(0).positives, 2);
  EXPECT_EQ(truth.query(0).listed_positives, 4);
  ASSERT_THAT(truth.odd(), SizeIs(2));
  EXPECT_THAT(truth.odd()[0].where + " " + truth.odd()[0].reason, HasSubstr("gallery:3 gallery id 'g1'"));
  EXPECT_THAT(truth.odd()[1].where + " " + truth.odd()[1].reason, HasSubstr("b:1 query 'q1'"));
}

}  // namespace
}  // namespace capture
