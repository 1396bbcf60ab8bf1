#include "capture/report/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "items.h"
#include "markup.h"

namespace capture {
namespace {

using testing::Element;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kJpeg;
using ::testing::Not;
using testing::parse_markup;
using testing::select;
using testing::select_class;
using ::testing::SizeIs;

ComparedFigure figure(std::string name, double difference, double p) {
  return {.name = std::move(name),
          .queries = 40,
          .first = 0.5,
          .second = 0.5 + difference,
          .difference = difference,
          .low = difference - 0.05,
          .high = difference + 0.05,
          .p = p,
          .p_adjusted = p,
          .exact = false,
          .won = 30,
          .lost = 5,
          .tied = 5};
}

/// Two runs, `count` queries; the second run gains on the even ones.
ComparisonInput two_runs(size_t count) {
  ComparisonInput input;
  input.metric = "strict mAP@10";
  input.runs = {{"demo", "runs/demo/eval"}, {"seed <7>", "runs/seed7/eval"}};
  ComparedPair pair;
  pair.second = 1;
  pair.headline = figure("strict mAP@10", 0.1, 0.0004);
  pair.figures = {{"strict", "Figure", {figure("mAP@10", 0.1, 0.0004), figure("MRR", -0.01, 0.7)}}};
  pair.products = {"strict mAP@10 by number of products", "Products", {figure("1 product", 0.1, 0.01)}};
  pair.labels = {"strict mAP@10 by label", "Label", {figure("apple", 0.2, 0.1), figure("pear", -0.2, 0.04)}};
  input.pairs = {pair};
  const auto photo = std::as_bytes(std::span(kJpeg));
  input.gallery = {{"g0", "An apple", {"apple"}, photo}, {"g1", "A pear", {"pear"}, photo}};
  for (size_t i = 0; i < count; ++i) {
    ComparedQuery query{.item = {"q" + std::to_string(i), "Query " + std::to_string(i), {"apple"}, photo},
                        .positives = 2,
                        .values = {0.5, i % 2 == 0 ? 1.0 : 0.25},
                        .rankings = {{{1, kNotMeasured}, {0, kNotMeasured}}, {{0, kNotMeasured}}}};
    input.queries.push_back(std::move(query));
  }
  return input;
}

TEST(Comparison, SaysHowFarApartTheRunsAreAndWhetherThatIsChance) {
  const std::string html = render_comparison(two_runs(4)).html;
  EXPECT_THAT(html, HasSubstr(">+10.0</strong>"));
  EXPECT_THAT(html, HasSubstr("95% interval +5.0 to +15.0. More than chance gives (p &lt; 0.001)."));
  ComparisonInput even = two_runs(4);
  even.pairs[0].headline = figure("strict mAP@10", 0.0, 0.8);
  EXPECT_THAT(render_comparison(even).html, HasSubstr("Chance alone can give that (p = 0.80)."));
}

TEST(Comparison, MarksWhatIsMoreThanChanceInTheTables) {
  const auto elements = parse_markup(render_comparison(two_runs(4)).html);
  size_t gains = 0;
  size_t losses = 0;
  for (const Element& row : select(elements, "tr")) {
    gains += row.has_class("gain");
    losses += row.has_class("loss");
  }
  EXPECT_EQ(gains, 2u);   // mAP@10, and queries of one product
  EXPECT_EQ(losses, 1u);  // pears
  for (const Element& heading : select(elements, "th")) EXPECT_TRUE(heading.has("scope"));
}

TEST(Comparison, ShowsBothRankingsSideBySide) {
  const auto elements = parse_markup(render_comparison(two_runs(4)).html);
  EXPECT_THAT(select_class(elements, "query"), SizeIs(4));
  std::vector<std::string> runs;
  for (const Element& heading : select(elements, "h5")) runs.push_back(heading.text);
  ASSERT_THAT(runs, SizeIs(8));
  EXPECT_EQ(runs[0], "demo 50.0");
  EXPECT_EQ(runs[1], "seed &lt;7&gt; 100.0");
  EXPECT_EQ(runs[5], "seed &lt;7&gt; 25.0");  // the lost ones come after the won
  const auto lists = select_class(elements, "ranking");
  EXPECT_EQ(lists[0]["aria-label"], "what was found by demo, best first");
  EXPECT_THAT(lists[0].text, HasSubstr("✗ missA pear"));
  EXPECT_THAT(lists[1].text, HasSubstr("✓ hitAn apple"));
  EXPECT_THAT(lists[1].text, Not(HasSubstr("score")));
}

TEST(Comparison, GivesAllQueriesToTheScript) {
  const RenderedReport page = render_comparison(two_runs(60));
  EXPECT_THAT(select_class(parse_markup(page.html), "query"), SizeIs(16));
  EXPECT_THAT(page.html, HasSubstr(R"("runs":["demo","seed \u003c7>"])"));
  EXPECT_THAT(page.html, HasSubstr(R"(["q1","Query 1",[0],"q1.jpg",2,0,[0.5,0.25],[[0,null,1,null],[1,null]]])"));
  EXPECT_THAT(page.photos, SizeIs(62));
}

TEST(Comparison, SaysSoWhereARankingIsNotKnown) {
  ComparisonInput input = two_runs(1);
  input.queries[0].rankings[1].clear();
  EXPECT_THAT(render_comparison(input).html, HasSubstr("do not carry this run&#39;s ranking"));
}

TEST(Comparison, KeepsHeadingsInOrderAndIdsApart) {
  int level = 0;
  std::set<std::string> ids;
  for (const Element& element : parse_markup(render_comparison(two_runs(60)).html)) {
    if (element.tag.size() == 2 && element.tag[0] == 'h' && std::isdigit(element.tag[1])) {
      EXPECT_LE(element.tag[1] - '0', level + 1) << element.text;
      level = element.tag[1] - '0';
    }
    EXPECT_TRUE(!element.has("id") || ids.insert(element["id"]).second) << element["id"];
  }
}

TEST(Comparison, ShowsBothEndsOfALongTableAndFoldsTheRest) {
  ComparisonInput input = two_runs(4);
  std::vector<ComparedFigure>& labels = input.pairs[0].labels.rows;
  labels.clear();
  for (int i = 0; i < 40; ++i) labels.push_back(figure("label " + std::to_string(i), 0.2 - 0.01 * i, 0.5));
  const std::string html = render_comparison(input).html;
  const auto rows = [&](const char* label) {
    size_t count = 0;
    for (const Element& link : select(parse_markup(html), "a")) count += link["data-label"] == label;
    return count;
  };
  EXPECT_EQ(rows("label 4"), 2u);
  EXPECT_EQ(rows("label 5"), 1u);
  EXPECT_EQ(rows("label 35"), 2u);
}

TEST(Comparison, WritesDifferencesWithASign) {
  EXPECT_EQ(signed_points(0.0123), "+1.2");
  EXPECT_EQ(signed_points(-0.5), "−50.0");
  EXPECT_EQ(signed_points(-0.0004), "0.0");
  EXPECT_EQ(p_value(0.00099), "<0.001");
  EXPECT_EQ(p_value(0.0312), "0.031");
  EXPECT_EQ(p_value(0.5), "0.50");
}

}  // namespace
}  // namespace capture
