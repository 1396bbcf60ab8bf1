// The page's structure and texts.
#include "capture/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "markup.h"
#include "whole_report.h"

namespace capture {
namespace {

using testing::bytes;
using testing::Element;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::parse_markup;
using testing::query;
using testing::select;
using testing::select_class;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::table;
using testing::whole;

TEST(Report, IsWellFormedAndComplete) {
  const std::string html = render_report(whole()).html;
  EXPECT_THAT(html, StartsWith("<!doctype html>\n<html lang=\"en\">"));
  const auto elements = parse_markup(html);
  std::vector<std::string> sections;
  for (const Element& section : select(elements, "section")) sections.push_back(section["id"]);
  EXPECT_THAT(sections,
              ElementsAre("systems", "protocols", "breakdowns", "curves", "labels", "training", "queries", "details"));
  EXPECT_THAT(
      html, HasSubstr("On average 7.2 of the first 10 results show what was asked for; raw region features find 2.5."));
  EXPECT_THAT(html, HasSubstr("53.0 points above raw region features (28.0)"));
}

TEST(Report, IsAccessible) {
  const auto elements = parse_markup(render_report(whole()).html);
  int level = 0;
  std::set<std::string> ids;
  for (const Element& element : elements) {
    if (element.tag.size() == 2 && element.tag[0] == 'h' && std::isdigit(element.tag[1])) {
      EXPECT_LE(element.tag[1] - '0', level + 1) << element.text << ": headings skip no level";
      level = element.tag[1] - '0';
    }
    const auto is = [&element](const char* tag) { return element.tag == tag; };
    EXPECT_TRUE(!is("img") || element["alt"] != "");
    EXPECT_TRUE((!is("select") && !is("input")) || element.has("name"));
    EXPECT_TRUE(!is("th") || element["scope"] == "col" || element["scope"] == "row");
    EXPECT_TRUE(!is("svg") || (element["role"] == "img" && element.has("aria-label")));
    EXPECT_TRUE(!element.has_class("wide") || (element["tabindex"] == "0" && element.has("aria-label")));
    EXPECT_TRUE(!element.has("id") || ids.insert(element["id"]).second) << element["id"] << " stands twice";
  }
  EXPECT_THAT(select(elements, "h1"), SizeIs(1));
  for (const Element& link : select(elements, "a")) EXPECT_TRUE(ids.contains(link["href"].substr(1))) << link["href"];
}

TEST(Report, NeedsNothingFromOutside) {
  const std::string html = render_report(whole()).html;
  for (const Element& element : parse_markup(html)) {
    for (const char* name : {"src", "href"}) {
      EXPECT_TRUE(!element.has(name) || element[name][0] == '#' || element[name].starts_with("data:")) << element[name];
    }
  }
  EXPECT_THAT(html, Not(HasSubstr("@import")));
  EXPECT_THAT(html, Not(HasSubstr("url(\"http")));
}

TEST(Report, TellsHitsFromMissesByMoreThanColour) {
  const auto elements = parse_markup(render_report(whole()).html);
  std::vector<std::string> verdicts;
  for (const Element& verdict : select_class(elements, "verdict")) verdicts.push_back(verdict.text);
  // q0 asks for an apple; q1 for a pear (A) and a plum (B), a label listed twice being shown once.
  EXPECT_THAT(verdicts, ElementsAre("✓ hit", "✗ miss", "✗ miss", "✓ hitA", "✓ hitB", "✓ hitB"));
  const std::string html = render_report(whole()).html;
  EXPECT_THAT(html, HasSubstr(".hit{border:2px solid"));
  EXPECT_THAT(html, HasSubstr(".miss{border:2px dashed"));
  const auto chips = select_class(elements, "labels");
  ASSERT_THAT(chips, SizeIs(2));
  EXPECT_EQ(chips[0].text, "apple");
  EXPECT_EQ(chips[1].text, "Apear1 foundBplum2 found");
}

TEST(Report, NamesEveryLabelThatAResultShares) {
  ReportInput input = whole();
  input.queries = {query("q", {"apple", "plum"}, 1.0, {3})};
  EXPECT_EQ(select_class(parse_markup(render_report(input).html), "verdict")[0].text, "✓ hitA, B");
}

TEST(Report, PutsTitleLabelsAndScoreOnEachCard) {
  const auto cards = select_class(parse_markup(render_report(whole()).html), "hit");
  EXPECT_EQ(cards[1]["title"], "Title of g0\nlabel: apple\nscore: 0.9000\nid: g0");  // the first is the legend's
  EXPECT_THAT(cards[1].text, HasSubstr("Title of g0apple"));
  EXPECT_THAT(cards[1].text, HasSubstr("score 0.900"));
}

TEST(Report, EscapesEveryText) {
  const std::string evil = "</title><script>alert('x')</script>\" onload=\"y\" &amp; قهوة 🍎 \xFF\xC0";
  ReportInput input = whole();
  for (std::string* text :
       {&input.title, &input.dataset, &input.run, &input.created, &input.query_metric, &input.configuration,
        &input.headlines[0].queries, &input.headlines[0].metric, &input.headlines[0].reference,
        &input.protocols[0].name, &input.charts[0].title, &input.charts[0].x_label, &input.charts[0].y_label,
        &input.charts[0].series[0].name, &input.facts[0].name, &input.facts[0].value, &input.commands[0].purpose,
        &input.commands[0].command}) {
    *text = evil;
  }
  for (ReportTable* any : {&input.systems[0], &input.protocols[0].tables[0]}) {
    any->title = any->note = any->row_heading = any->columns[0] = any->rows[0].name = any->rows[0].note = evil;
  }
  for (ReportItem* any : {&input.gallery[0], &input.gallery[1], &input.queries[0].item}) {
    any->id = any->title = evil;
    any->labels = {evil};
  }
  const std::string html = render_report(input).html;
  const auto elements = parse_markup(html);
  EXPECT_THAT(select(elements, "script"), SizeIs(1));  // our own
  for (const Element& element : elements) EXPECT_FALSE(element.has("onload"));
  EXPECT_THAT(html, HasSubstr("قهوة 🍎 \uFFFD\uFFFD"));
  EXPECT_THAT(html, Not(HasSubstr("\xFF")));
  EXPECT_THAT(html, HasSubstr("&amp;amp;"));
}

TEST(Report, ShowsAPlaceholderForAMissingPhoto) {
  ReportInput input = whole();
  input.gallery[0].thumbnail = {};
  input.gallery[1].thumbnail = bytes("<svg onload=alert(1)>");  // not a format that is shown
  input.gallery[2].thumbnail = bytes("\x89PNG\r\n\x1A\n...");
  input.gallery[3].thumbnail = bytes("RIFF....WEBPVP8 ");
  const auto elements = parse_markup(render_report(input).html);
  const auto none = select_class(elements, "none");
  ASSERT_THAT(none, SizeIs(4));  // g0 and g1, in both rankings
  EXPECT_EQ(none[0]["aria-label"], "Photo of Title of g0: no photo");
  EXPECT_EQ(none[0]["role"], "img");
  const auto images = select(elements, "img");
  ASSERT_THAT(images, SizeIs(4));
  EXPECT_THAT(images[0]["src"], StartsWith("data:image/jpeg;base64,/9j/"));
  EXPECT_THAT(images[2]["src"], StartsWith("data:image/png;base64,"));
  EXPECT_THAT(images[3]["src"], StartsWith("data:image/webp;base64,"));
}

TEST(Report, MarksTheBestOfEachColumnOnlyWhereRowsCompete) {
  ReportInput input;
  input.systems = {table("a")};
  auto best = select_class(parse_markup(render_report(input).html), "best");
  ASSERT_THAT(best, SizeIs(2));
  EXPECT_EQ(best[0].text, "81.0 (best)");
  EXPECT_EQ(best[1].text, "70.0 (best)");

  input.systems[0].compare_rows = false;
  EXPECT_THAT(select_class(parse_markup(render_report(input).html), "best"), IsEmpty());
  EXPECT_EQ(best_value(table("a"), 0), 0.81);
  EXPECT_TRUE(std::isnan(best_value(table("a"), 2)));
}

TEST(Report, LeavesEmptySectionsOut) {
  const auto elements = parse_markup(render_report({}).html);
  EXPECT_THAT(select(elements, "section"), IsEmpty());
  EXPECT_THAT(select(elements, "h1"), SizeIs(1));
  EXPECT_THAT(select(elements, "nav")[0].text, IsEmpty());

  ReportInput hollow;
  hollow.headlines = {{"nothing", "mAP", kNotMeasured, kNotMeasured, "", kNotMeasured, kNotMeasured}};
  hollow.systems = {{"no rows", "", "", {"a"}, {}, true}};
  hollow.protocols = {{"strict", {}}};
  hollow.charts = {{"no points", "step", "", {{"a", {}, {}}, {"b", {1}, {kNotMeasured}}}}};
  EXPECT_THAT(select(parse_markup(render_report(hollow).html), "section"), IsEmpty());
}

TEST(Report, ShowsTheHardestLabelsAndWhatTheyAreTakenFor) {
  ReportInput input = whole();
  input.labels.clear();
  for (int i = 0; i < 30; ++i) input.labels.push_back({"label " + std::to_string(i), 4, 5, 0.1, 0.2});
  input.confusions[0].asked_item = 2;
  const auto elements = parse_markup(render_report(input).html);
  EXPECT_THAT(select_class(elements, "sortable"), SizeIs(2));  // twelve, and all of them folded
  size_t links = 0;
  for (const Element& link : select(elements, "a")) links += link["data-label"] == "label 3";
  EXPECT_EQ(links, 2u);
  const auto confusions = select_class(elements, "confusions");
  ASSERT_THAT(confusions, SizeIs(1));
  EXPECT_EQ(confusions[0].text, "plumis taken for→pear1.5 of 3");
}

}  // namespace
}  // namespace capture
