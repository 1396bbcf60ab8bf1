// The report's queries: which are shown, how, and what the page's script gets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/report/report.h"
#include "markup.h"
#include "whole_report.h"

namespace capture {
namespace {

using testing::bytes;
using testing::Element;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::item;
using testing::kJpeg;
using ::testing::Not;
using testing::parse_markup;
using testing::query;
using testing::select;
using testing::select_class;
using ::testing::SizeIs;
using testing::whole;
using testing::with_queries;

std::vector<std::string> shown_queries(const std::string& html) {
  std::vector<std::string> shown;
  for (const Element& title : select(parse_markup(html), "h4")) {
    if (title.text.starts_with("Title of")) shown.push_back(title.text.substr(9));
  }
  return shown;
}

TEST(Report, ShowsSomeQueriesAtRandomThenTheWorst) {
  ReportInput input = with_queries(1000);
  input.queries_shown = 3;
  const std::vector<std::string> shown = shown_queries(render_report(input).html);
  ASSERT_THAT(shown, SizeIs(6));
  EXPECT_THAT(std::vector(shown.begin() + 3, shown.end()), ElementsAre("q0", "q1", "q2"));
  EXPECT_EQ(shown, shown_queries(render_report(input).html));
  input.seed = 2;
  EXPECT_NE(shown[0] + shown[1],
            shown_queries(render_report(input).html)[0] + shown_queries(render_report(input).html)[1]);
}

TEST(Report, ShowsEveryQueryWhileTheyAreFew) {
  const RenderedReport report = render_report(with_queries(12));
  EXPECT_THAT(shown_queries(report.html), SizeIs(12));
  EXPECT_THAT(report.html, Not(HasSubstr("explore({")));
  EXPECT_THAT(report.photos, IsEmpty());
}

TEST(Report, GivesAllQueriesToTheScript) {
  ReportInput input = with_queries(20);
  input.queries[4].item.title = "</script><b>&";
  input.queries[5].item.thumbnail = {};
  const RenderedReport report = render_report(input, "page_files");
  const auto elements = parse_markup(report.html);
  EXPECT_THAT(select(elements, "script"), SizeIs(2));
  EXPECT_THAT(select(elements, "select"), SizeIs(3));
  const size_t begin = report.html.find("explore({") + 8;
  const Json data = parse_json(report.html.substr(begin, report.html.find(");</script>", begin) - begin), "data").root;
  EXPECT_EQ(data["folder"], "page_files");
  ASSERT_EQ(data["queries"].size(), 20u);
  EXPECT_EQ(data["queries"][4].dump(), R"(["q4","</script><b>&",[0],"q4.jpg",3,0,[0.2],[[0,0.9,1,0.8]]])");
  EXPECT_EQ(data["queries"][5][3], "");
  EXPECT_EQ(data["items"].dump(), R"([["g0","Title of g0",[0],"g0.jpg"],["g1","Title of g1",[1],"g1.jpg"]])");
  EXPECT_EQ(data["labels"].dump(), R"(["apple","pear"])");
  std::vector<std::string> names;
  for (const ReportPhoto& photo : report.photos) names.push_back(photo.name);
  EXPECT_THAT(names, SizeIs(21));  // 19 queries and 2 items
  EXPECT_THAT(names, ::testing::Contains("g1.jpg"));
}

TEST(Report, StaysSmallWithAsManyQueriesAsProduct1M) {
  const std::string photo = std::string(kJpeg) + std::string(8'000, 'x');
  ReportInput input = whole();
  input.gallery.clear();
  for (size_t i = 0; i < 40'033; ++i) {
    input.gallery.push_back(item("6231746029" + std::to_string(i), {"label " + std::to_string(i % 458)}, photo));
    input.gallery.back().title = "韩国黄金套盒正品蜗牛玻尿酸水乳24K精华套装补水抗皱紧致";
  }
  input.queries.clear();
  for (size_t i = 0; i < 6'547; ++i) {
    std::vector<size_t> found(10);
    for (size_t place = 0; place < 10; ++place) found[place] = (i * 61 + place * 4'001) % 40'033;
    input.queries.push_back(query("59231746029" + std::to_string(i), {"label 1", "label 7"}, 0.5, found));
    input.queries.back().item.thumbnail = bytes(photo);
  }
  const RenderedReport report = render_report(input);
  EXPECT_LT(report.html.size(), size_t{5} << 20);
  EXPECT_GT(report.queries.size(), size_t{1} << 20);  // beside the page
  EXPECT_LT(report.queries.size(), size_t{12} << 20);
  EXPECT_THAT(report.html, HasSubstr("<script src=\"report_files/queries.js\"></script>"));
}

TEST(Report, ShowsChosenQueriesOnce) {
  ReportInput input = whole();
  input.chosen = {"q1", "unknown", "q1"};
  EXPECT_THAT(shown_queries(render_report(input).html), ElementsAre("q1", "q0"));  // q0 as the worst of the others
}

TEST(Report, ShowsAtMostTenResultsAndKeepsThePageSmall) {
  const std::string photo = std::string(kJpeg) + std::string(size_t{1} << 20, 'x');
  ReportInput input = whole();
  for (ReportItem& any : input.gallery) any.thumbnail = bytes(photo);
  input.queries = {query("q", {"apple"}, kNotMeasured, std::vector<size_t>(5'000, 0))};
  const std::string html = render_report(input).html;
  EXPECT_THAT(select_class(parse_markup(html), "ranking"), SizeIs(1));
  EXPECT_THAT(select_class(parse_markup(html), "verdict"), SizeIs(10));
  EXPECT_LT(html.size(), size_t{12} << 20);
  EXPECT_THAT(html, HasSubstr("photo left out to keep this page small"));
}

TEST(Report, RefusesAResultOutsideTheGallery) {
  ReportInput input = whole();
  input.queries[0].ranking[0].item = 4;
  EXPECT_THROW(render_report(input).html, std::out_of_range);
}

TEST(Report, MarksNothingWhereNothingWasAskedFor) {
  ReportInput input = whole();
  for (ReportQuery& query : input.queries) query.item.labels.clear();
  const auto elements = parse_markup(render_report(input).html);
  EXPECT_THAT(select_class(elements, "verdict"), IsEmpty());
  EXPECT_THAT(select_class(elements, "ap"), IsEmpty());
  EXPECT_THAT(select_class(elements, "found"), SizeIs(6));
}

TEST(Report, SaysWhereTheFirstMatchStandsWhenItIsNotShown) {
  ReportInput input = whole();
  input.queries[0].first_hit = 37;
  input.queries[1].first_hit = 2;
  const std::string html = render_report(input).html;
  EXPECT_THAT(html, HasSubstr("3 matches in the gallery, the first at place 37<"));
  EXPECT_THAT(html, Not(HasSubstr("place 2<")));
}

}  // namespace
}  // namespace capture
