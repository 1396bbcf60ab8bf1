#include "capture/report/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "markup.h"

namespace capture {
namespace {

using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;
using ::testing::Pointwise;
using ::testing::SizeIs;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

ReportChart chart_of(std::vector<double> x, std::vector<double> y) {
  return {.title = "Loss", .x_label = "step", .y_label = "loss", .series = {{"total", std::move(x), std::move(y)}}};
}

std::vector<std::string> texts(const std::string& svg, const std::string& type) {
  std::vector<std::string> found;
  for (const auto& element : testing::select_class(testing::parse_markup(svg), type)) found.push_back(element.text);
  return found;
}

TEST(Plot, TicksAreRoundAndFew) {
  EXPECT_THAT(nice_ticks(0, 10, 6), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(nice_ticks(0, 0.83, 6), Pointwise(DoubleNear(1e-12), {0.0, 0.2, 0.4, 0.6, 0.8}));
  EXPECT_THAT(nice_ticks(0, 12400, 6), ElementsAre(0, 5000, 10000));
  EXPECT_THAT(nice_ticks(-3, 3, 5), ElementsAre(-2, 0, 2));
  EXPECT_THAT(nice_ticks(1, 3, 6, /*whole=*/true), ElementsAre(1, 2, 3));
  EXPECT_THAT(nice_ticks(7, 7, 5), ElementsAre(7));
}

TEST(Plot, TicksStayInsideTheRangeWhateverItsSize) {
  for (const double size : {1e-29, 1e-6, 0.37, 1.0, 99.0, 1e9, 1e29}) {
    for (const double low : {0.0, -size, size * 0.123}) {
      const std::vector<double> ticks = nice_ticks(low, low + size, 6);
      EXPECT_THAT(ticks, SizeIs(AllOf(Ge(2u), Le(6u)))) << low << " + " << size;
      EXPECT_GE(ticks.front(), low - size * 1e-5);
      EXPECT_LE(ticks.back(), low + size * (1 + 1e-5));
    }
  }
}

TEST(Plot, DrawsALineWithItsNameAtTheEnd) {
  const std::string svg = render_chart(chart_of({0, 50, 100}, {4, 2, 1}));
  EXPECT_THAT(texts(svg, "tick"), ElementsAre("0", "1", "2", "3", "4", "0", "20", "40", "60", "80", "100"));
  EXPECT_THAT(texts(svg, "end"), ElementsAre("total1.00"));
  EXPECT_THAT(svg, HasSubstr("total: from 4.00 at 0 to 1.00 at 100."));
}

TEST(Plot, LeavesAGapWhereAValueIsNotANumber) {
  const std::string svg = render_chart(chart_of({0, 1, 2, 3, 4}, {1, 2, kNan, 2, kInfinity}));
  const auto lines = testing::select_class(testing::parse_markup(svg), "line");
  ASSERT_THAT(lines, SizeIs(1));
  const std::string path = lines[0]["d"];
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 2);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'L'), 1);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_THAT(svg, Not(HasSubstr("–")));
}

TEST(Plot, DrawsConstantsSinglePointsAndZeros) {
  for (const ReportChart& chart :
       {chart_of({1, 2, 3}, {5, 5, 5}), chart_of({7}, {3}), chart_of({0}, {0}), chart_of({1, 2}, {-2, -2}),
        chart_of({1, 2}, {1e-310, 2e-310}), chart_of({1, 2}, {1e15, 1e15 + 1})}) {
    const std::string svg = render_chart(chart);
    EXPECT_THAT(testing::select(testing::parse_markup(svg), "circle"), SizeIs(1));
    EXPECT_THAT(svg, Not(HasSubstr("–")));  // no position or number that is not finite
  }
}

TEST(Plot, LeavesOutWhatCannotBeDrawn) {
  EXPECT_EQ(render_chart({}), "");
  EXPECT_EQ(render_chart(chart_of({}, {})), "");
  EXPECT_EQ(render_chart(chart_of({1, 2}, {kNan, 1e300})), "");
  EXPECT_EQ(render_chart(chart_of({1, 2}, {})), "");  // lengths differ: only pairs count
}

TEST(Plot, WritesSmallNumbersWithOnePowerOfTen) {
  const std::string svg = render_chart(chart_of({0, 10000, 20000}, {0, 3e-4, 1e-4}));
  EXPECT_THAT(svg, HasSubstr("loss ×10⁻⁴"));
  EXPECT_THAT(texts(svg, "tick"), ElementsAre("0", "1", "2", "3", "0", "5k", "10k", "15k", "20k"));
}

TEST(Plot, StartsAtZeroUnlessThatWastesHalfTheSpace) {
  EXPECT_THAT(texts(render_chart(chart_of({0, 4}, {1, 9})), "tick")[0], "0");
  EXPECT_THAT(texts(render_chart(chart_of({0, 4}, {90, 99})), "tick")[0], "90");
}

TEST(Plot, ThinsLongSeriesToMeans) {
  const ReportSeries thin = thinned({"a", {0, 1, 2, 3, 4}, {1, 3, kNan, 7, kNan}}, 3);
  EXPECT_THAT(thin.x, ElementsAre(0.5, 3, ::testing::IsNan()));
  EXPECT_THAT(thin.y, ElementsAre(2, 7, ::testing::IsNan()));

  std::vector<double> x(100'000);
  std::vector<double> y(100'000, 2.0);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i);
  EXPECT_LT(render_chart(chart_of(x, y)).size(), 10'000u);
}

TEST(Plot, KeepsLabelsApart) {
  for (const double end : {0.5, 0.7, 1.0}) {  // at the bottom, between, and at the top of the axis
    ReportChart chart{.title = "Loss", .x_label = "step", .y_label = "", .series = {{"range", {0, 1}, {0.5, 1.0}}}};
    for (const char* name : {"a", "b", "c", "d"}) chart.series.push_back({name, {0, 1}, {1, end}});
    std::vector<double> at;
    for (const auto& label : testing::select_class(testing::parse_markup(render_chart(chart)), "end")) {
      at.push_back(std::stod(label["y"]));
    }
    ASSERT_THAT(at, SizeIs(5));
    for (size_t i = 1; i < at.size(); ++i) EXPECT_GE(at[i] - at[i - 1], 20) << end;
    EXPECT_GE(at.front(), 0);
    EXPECT_LE(at.back(), 230);
  }
}

TEST(Plot, EscapesNames) {
  ReportChart chart = chart_of({0, 1}, {1, 2});
  chart.series[0].name = "<script>alert(1)</script>";
  chart.y_label = "<&\xFF";
  const std::string svg = render_chart(chart);
  EXPECT_NO_THROW(testing::parse_markup(svg));
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, HasSubstr("&lt;script&gt;alert(1)&lt;…"));

  chart.series[0].name = std::string(100, '\x80');  // as long as what it is shown as
  EXPECT_EQ(texts(render_chart(chart), "end")[0].size(), 17 * 3 + 3 + std::string("2.00").size());
}

ReportHistogram two_kinds() {
  return {.title = "Scores",
          .x_label = "score",
          .low = -1,
          .high = 1,
          .series = {{"hits", {}, {0, 0.25, 0.75, 0}}, {"misses", {}, {0.5, 0.5, 0, 0}}}};
}

TEST(Plot, DrawsAHistogramAsStepsOnOneScale) {
  const std::string svg = render_histogram(two_kinds());
  const auto areas = testing::select_class(testing::parse_markup(svg), "area");
  ASSERT_THAT(areas, SizeIs(2));
  const std::string path = areas[0]["d"];
  EXPECT_EQ(std::count(path.begin(), path.end(), 'H'), 4);
  EXPECT_THAT(svg, HasSubstr("hits: half lie below a score of 0.167. misses: half lie below a score of -0.500."));
  EXPECT_THAT(texts(svg, "end"), ElementsAre("misses", "hits"));
}

TEST(Plot, LeavesOutHistogramsWithoutShares) {
  EXPECT_EQ(render_histogram({}), "");
  ReportHistogram flat = two_kinds();
  flat.high = flat.low;
  EXPECT_EQ(render_histogram(flat), "");
  ReportHistogram one = two_kinds();
  one.series[0].y.clear();
  EXPECT_THAT(testing::select_class(testing::parse_markup(render_histogram(one)), "area"), SizeIs(1));
}

TEST(Plot, TellsDifferencesThatLeaveZeroOut) {
  const std::string svg =
      render_differences({{"mAP", 0.02, 0.01, 0.03}, {"Prec", -0.01, -0.03, 0.01}, {"<Recall>", -0.02, -0.03, -0.01}});
  const auto elements = testing::parse_markup(svg);
  EXPECT_THAT(testing::select_class(elements, "gain"), SizeIs(1));
  EXPECT_THAT(testing::select_class(elements, "even"), SizeIs(1));
  EXPECT_THAT(testing::select_class(elements, "loss"), SizeIs(1));
  EXPECT_THAT(svg, HasSubstr("mAP: +2.0, from +1.0 to +3.0."));
  EXPECT_EQ(render_differences({}), "");
  EXPECT_NO_THROW(testing::parse_markup(render_differences({{"all the same", 0, 0, 0}})));
}

}  // namespace
}  // namespace capture
