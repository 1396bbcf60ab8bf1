// TREC files, and figures apart for labels that training never showed.
#include "capture/retrieval/trec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "capture/retrieval/label_split.h"
#include "data/support.h"
#include "lists.h"

namespace capture {
namespace {

using testing::HasSubstr;

class TrecTest : public testing::Test {
 protected:
  TrecTest() {
    for (const auto& [id, items] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"q 1", {"b", "a", "nobody", "a"}}, {"q2", {"c"}}, {"q 1", {"c"}}, {"", {"a"}}}) {
      Ranking ranking;
      ranking.query_id = id;
      ranking.query = truth_.find_query(id);
      for (const std::string& item : items) {
        ranking.items.push_back(truth_.find_item(item));
        if (ranking.items.back() == kUnknown) ranking.unknown.push_back(item);
      }
      ranking.line = static_cast<int64_t>(rankings_.lines.size()) + 1;
      rankings_.lines.push_back(ranking);
    }
  }

  std::string run(size_t depth = 0) const {
    write_trec_run(folder_ / "run", rankings_, truth_, depth, "tag");
    return read_file(folder_ / "run");
  }

  TemporaryFolder folder_;
  ProductList gallery_ = list_of("gallery", {{"a", {"x"}}, {"b", {"y"}}, {"c", {"x"}}, {"d", {}}});
  ProductList queries_ = list_of("queries", {{"q 1", {"x", "y", "x"}}, {"q2", {"y"}}, {"50%", {"absent"}}});
  GroundTruth truth_{gallery_, std::span(&queries_, 1)};
  Rankings rankings_;
};

TEST_F(TrecTest, WhatTheFormatCannotHoldIsEncodedOrLeftOut) {
  EXPECT_EQ(run(),
            "q%201 Q0 b 1 -1 tag\n"
            "q%201 Q0 a 2 -2 tag\n"
            "q%201 Q0 nobody 3 -3 tag\n"
            "q2 Q0 c 1 -1 tag\n");
  EXPECT_EQ(run(1), "q%201 Q0 b 1 -1 tag\nq2 Q0 c 1 -1 tag\n");
}

TEST_F(TrecTest, ScoresFallEvenWhereOursTie) {
  rankings_.lines.resize(1);
  rankings_.lines[0].items = {0, 1, 2, 3};
  rankings_.lines[0].unknown.clear();
  rankings_.lines[0].scores = {0.5F, 0.25F, 0.25F, std::nextafter(0.25F, 0.0F)};
  const float second = std::nextafter(0.25F, 0.0F);
  std::string expected = "q%201 Q0 a 1 0.5 tag\nq%201 Q0 b 2 0.25 tag\n";
  char line[64];
  std::snprintf(line, sizeof line, "q%%201 Q0 c 3 %.8g tag\n", second);
  expected += line;
  std::snprintf(line, sizeof line, "q%%201 Q0 d 4 %.8g tag\n", std::nextafter(second, 0.0F));
  EXPECT_EQ(run(), expected + line);
}

TEST_F(TrecTest, QrelsHoldEveryPositiveOnce) {
  write_trec_qrels(folder_ / "qrels", truth_);
  EXPECT_EQ(read_file(folder_ / "qrels"), "q%201 0 a 1\nq%201 0 b 1\nq%201 0 c 1\nq2 0 b 1\n");
}

class LabelSplitTest : public testing::Test {
 protected:
  LabelSplit split(const std::string& labels) const {
    write_file(folder_ / "unseen.txt", labels);
    return LabelSplit(folder_ / "unseen.txt", truth_);
  }

  TemporaryFolder folder_;
  ProductList gallery_ = list_of("gallery", {{"a", {"x"}}, {"b", {"y"}}, {"c", {"z"}}});
  ProductList queries_ =
      list_of("queries", {{"q0", {"x"}}, {"q1", {"y"}}, {"q2", {"x", "y"}}, {"q3", {"y", "z"}}, {"q4", {"z"}}});
  GroundTruth truth_{gallery_, std::span(&queries_, 1)};
};

TEST_F(LabelSplitTest, AQueryIsSeenUnseenOrMixed) {
  const LabelSplit parts = split("y\n\nz\n");
  const std::vector<LabelPart> expected = {LabelPart::seen, LabelPart::unseen, LabelPart::mixed, LabelPart::unseen,
                                           LabelPart::unseen};
  for (int32_t q = 0; q < 5; ++q) EXPECT_EQ(parts.part(q), expected[static_cast<size_t>(q)]) << q;
}

TEST_F(LabelSplitTest, FiguresOfAPartAreThoseOfItsQueriesAlone) {
  const std::vector<std::string> ids = {"q0", "q1", "q2", "q3", "q4"};
  Rankings all;
  for (int32_t q = 0; q < 5; ++q) {
    Ranking& ranking = all.lines.emplace_back();
    ranking.query_id = ids[static_cast<size_t>(q)];
    ranking.query = q;
    ranking.line = q + 1;
    ranking.items = {q % 3, (q + 1) % 3};
  }
  const EvaluationOptions options{.protocol = Protocol::both, .at = {1, 2}};
  const Evaluation evaluation = evaluate(truth_, all, options);
  const LabelSplit parts = split("y\nz");
  for (const LabelPart part : kLabelParts) {
    ProductList some = list_of("queries", {});
    Rankings own;
    for (int32_t q = 0; q < 5; ++q) {
      if (parts.part(q) != part) continue;
      some.products.push_back(queries_.products[static_cast<size_t>(q)]);
      own.lines.push_back(all.lines[static_cast<size_t>(q)]);
      own.lines.back().query = static_cast<int32_t>(own.lines.size()) - 1;
    }
    const Evaluation expected = evaluate(GroundTruth(gallery_, std::span(&some, 1)), own, options);
    const Evaluation found = parts.figures(evaluation, all, part);
    for (const QueryGroup group : {QueryGroup::all, QueryGroup::single, QueryGroup::multi}) {
      EXPECT_EQ(to_json(*found.official, group), to_json(*expected.official, group));
      EXPECT_EQ(to_json(*found.strict, group), to_json(*expected.strict, group));
      EXPECT_EQ(found.strict->count(group), expected.strict->count(group));
    }
  }
}

TEST_F(LabelSplitTest, ASlipIsNamed) {
  EXPECT_THAT(error_of([&] { split("x\nY\n"); }),
              HasSubstr("unseen.txt:2: no query and no gallery item has the label 'Y'"));
}

}  // namespace
}  // namespace capture
