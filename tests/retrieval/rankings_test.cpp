#include "capture/retrieval/rankings.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "lists.h"

namespace capture {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
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

TEST_F(RankingsTest, TheFirstItemThatStandsTwiceIsNoted) {
  write_file(path_, "q1,g3,x,g1,x,g1,g3\nq2,g1,g2,g3\n");
  const Rankings rankings = read_rankings(path_, truth_);
  EXPECT_EQ(rankings.lines[0].repeated, 0) << "x is in no list";
  EXPECT_EQ(rankings.lines[1].repeated, kUnknown) << "a line knows nothing of the one before";
}

TEST_F(RankingsTest, AnItemThatStandsTwiceIsFoundBesideIdsThatAreInNoList) {
  // Unknown ids may stand anywhere and as often as they like: before, between and behind the item that stands twice.
  write_file(path_, "q1,x,x,g2,x,y,g2,x\nq1,x,x,y,,,y\nq2,g2,x,g3,g2,g2,g3\nq2,x,g3\nq1,g1,g1\n");
  const Rankings rankings = read_rankings(path_, truth_);
  std::vector<int32_t> repeated;
  for (const Ranking& ranking : rankings.lines) repeated.push_back(ranking.repeated);
  EXPECT_THAT(repeated, ElementsAre(1, kUnknown, 1, kUnknown, 0));
  EXPECT_THAT(rankings.lines[0].unknown, ElementsAre("x", "x", "x", "y", "x"));
}

/// The list that an item was last seen in is kept in eight bits. Items come back after every number of lists around the
/// one at which those numbers start again: in clean lists, which take one number each, and in lists that repeat another
/// item, which take two.
TEST_F(RankingsTest, NoListIsMistakenForOneOfLongAgo) {
  constexpr int kLists = 1100;
  for (const int period : {127, 128, 254, 255, 256}) {
    std::vector<std::pair<std::string, std::vector<std::string>>> items;
    for (int i = 0; i < period; ++i) items.push_back({"i" + std::to_string(i), {"cup"}});
    items.push_back({"twice", {"cup"}});
    const GroundTruth truth(list_of("gallery", items), std::vector{list_of("q", {{"q1", {"cup"}}})});
    for (const bool repeats : {false, true}) {
      std::string text;
      for (int list = 0; list < kLists; ++list) {
        text += "q1,i" + std::to_string(list % period) + ",x,twice,x" + (repeats ? ",twice\n" : "\n");
      }
      write_file(path_, text);
      const Rankings rankings = read_rankings(path_, truth);
      ASSERT_THAT(rankings.lines, SizeIs(kLists));
      for (const Ranking& ranking : rankings.lines) {
        ASSERT_EQ(ranking.repeated, repeats ? period : kUnknown)
            << "list " << ranking.line << ", items come back after " << period;
      }
    }
  }
}

TEST_F(RankingsTest, LargeFilesAreReadInPartsAsOneText) {
  std::string text;
  for (int line = 0; line < 3000; ++line) {
    text += line % 2 == 0 ? "q1" : "q2";
    for (int i = 0; i < 1000; ++i) text += (i + line) % 7 == 0 ? ",g3" : ",a longer id, that is unknown";
    text += line % 3 == 0 ? "\r\n" : "\n";
  }
  write_file(path_, text);
  const Rankings rankings = read_rankings(path_, truth_);
  ASSERT_THAT(rankings.lines, SizeIs(3000));
  EXPECT_EQ(rankings.checksum, checksum(text));
  for (int line = 0; line < 3000; ++line) {
    const Ranking& ranking = rankings.lines[static_cast<size_t>(line)];
    ASSERT_EQ(ranking.line, line + 1);
    ASSERT_EQ(ranking.query, line % 2);
    ASSERT_EQ(ranking.items[static_cast<size_t>(std::ranges::find(ranking.items, 2) - ranking.items.begin())], 2);
    ASSERT_EQ(ranking.items.size(), ranking.unknown.size() + static_cast<size_t>(std::ranges::count(ranking.items, 2)));
  }
  write_file(path_, text + "q1,\xff\n");
  try {
    read_rankings(path_, truth_);
    ADD_FAILURE();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr(":3001: byte 4 of the line is not UTF-8"));
  }
}

/// Ids of every length around the one from which they are known by a checksum, ends that such lengths are told by among
/// them, at every place of a text.
TEST(IdTable, FindsWhatWasAddedAndNothingElse) {
  std::mt19937 random(1);
  IdTable table;
  std::map<std::string, int32_t> numbers;
  const auto draw = [&] {
    std::string id(random() % 24, ' ');
    for (char& c : id) c = static_cast<char>(random() % 8 == 0 ? random() % 256 : "0123"[random() % 4]);
    std::erase(id, ',');
    return id;
  };
  std::vector<std::string> drawn;
  std::vector<std::pair<int32_t, bool>> expected_pairs;
  for (int i = 0; i < 20000; ++i) {
    drawn.push_back(draw());
    const auto [entry, fresh] = numbers.try_emplace(drawn.back(), table.size());
    expected_pairs.emplace_back(entry->second, fresh);
    EXPECT_EQ(table.add(drawn.back()), expected_pairs.back());
  }
  IdTable together;
  EXPECT_EQ(together.add_all(std::vector<std::string_view>(drawn.begin(), drawn.end())), expected_pairs);
  ASSERT_EQ(static_cast<size_t>(table.size()), numbers.size());
  for (const auto& [id, number] : numbers) ASSERT_EQ(table.id(number), id);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    std::vector<int32_t> expected;
    for (uint32_t left = random() % 100 + 1; left > 0; --left) {
      const auto known = std::next(numbers.begin(), random() % 50);
      const std::string id = random() % 2 == 0 ? draw() : known->first;
      const auto found = numbers.find(id);
      expected.push_back(found == numbers.end() ? kUnknown : found->second);
      text += id + (left > 1 ? "," : "");
      ASSERT_EQ(table.find(id), expected.back());
    }
    // A copy without room behind it: nothing past the text may be read.
    const std::vector<char> exact(text.begin(), text.end());
    std::vector<int32_t> scratch;
    EXPECT_THAT(table.find_all({exact.data(), exact.size()}, 1000, scratch), ElementsAreArray(expected)) << text;
    const size_t most = random() % 70;
    const auto first = std::span(expected).first(std::min(most, expected.size()));
    ASSERT_THAT(table.find_all({exact.data(), exact.size()}, most, scratch), ElementsAreArray(first)) << text;
  }
}

/// A key tells a short id's length in its last byte, where an id of twelve bytes has one of its own.
TEST(IdTable, TellsIdsFromLongerOnesThatEndLikeTheirLength) {
  IdTable table;
  std::vector<std::string> twins;
  for (size_t size = 0; size < 12; ++size) {
    const std::string id(size, 'a');
    EXPECT_EQ(table.add(id), std::pair(static_cast<int32_t>(size), true));
    twins.push_back(id + std::string(11 - size, '\0') + static_cast<char>(size + 1));
  }
  std::vector<int32_t> scratch;
  for (const std::string& twin : twins) {
    EXPECT_EQ(table.find(twin), kUnknown);
    EXPECT_THAT(table.find_all(twin + ",aaa", 2, scratch), ElementsAre(kUnknown, 3));
  }
  for (const std::string& twin : twins) EXPECT_TRUE(table.add(twin).second);
  for (size_t i = 0; i < twins.size(); ++i) {
    const auto number = static_cast<int32_t>(twins.size() + i);
    EXPECT_THAT(table.find_all(twins[i] + ",aaa", 2, scratch), ElementsAre(number, 3));
  }
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
