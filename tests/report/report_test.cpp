#include "capture/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/json.h"
#include "items.h"
#include "markup.h"

namespace capture {
namespace {

using testing::bytes;
using ::testing::Each;
using testing::Element;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::item;
using testing::kJpeg;
using ::testing::Not;
using testing::parse_markup;
using testing::select;
using testing::select_class;
using ::testing::SizeIs;
using ::testing::StartsWith;

ReportQuery query(std::string id, std::vector<std::string> labels, double precision, std::vector<size_t> found) {
  ReportQuery asked{
      .item = item(std::move(id), std::move(labels)), .average_precision = precision, .positives = 3, .ranking = {}};
  for (const size_t i : found) asked.ranking.push_back({i, 0.9 - 0.1 * static_cast<double>(asked.ranking.size())});
  return asked;
}

ReportTable table(std::string title) {
  return {
      .title = std::move(title),
      .note = "",
      .row_heading = "System",
      .columns = {"strict mAP@10", "strict Prec@10"},
      .rows = {
          {"chance", "", {0.02, 0.03}}, {"raw", "mean-pooled", {0.28, kNotMeasured}}, {"pretrained", "", {0.81, 0.7}}}};
}

/// A report with every section.
ReportInput whole() {
  ReportInput input;
  input.title = "Groceries";
  input.dataset = "held-out photos";
  input.run = "demo";
  input.created = "today";
  input.headlines = {{"Photos of one product", "strict mAP@10", 0.81, 0.72, "raw region features", 0.28, 0.25}};
  input.systems = {table("Photos of one product")};
  input.protocols = {{"strict", {table("One product")}}, {"product1m_official", {table("One product")}}};
  input.breakdowns = {table("By number of products")};
  input.curves = {{"Precision by recall", "recall", "precision", {{"all", {0, 50, 100}, {90, 70, 10}}}}};
  input.histograms = {{"Scores", "score", 0, 1, {{"hits", {}, {0.25, 0.75}}, {"misses", {}, {0.5, 0.5}}}}};
  input.labels = {{"plum", 1, 2, 0.25, 1.0}, {"apple", 1, 2, 1.0, 1.0}};
  input.confusions = {{"plum", "pear", 1.5, 0.5, kNoItem, kNoItem}};
  input.charts = {{"Loss", "step", "loss", {{"total", {0, 1, 2}, {3, 2, 1}}}}};
  input.gallery = {item("g0", {"apple"}), item("g1", {"pear"}), item("g2", {"plum"}), item("g3", {"apple", "plum"})};
  input.queries = {query("q0", {"apple"}, 1.0, {0, 1}), query("q1", {"pear", "plum", "pear"}, 0.25, {0, 1, 2, 3})};
  input.facts = {{"Seed", "1"}};
  input.commands = {{"Train", "capture_train --config a.json"}};
  input.configuration = "{\"a\": 1}";
  return input;
}

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

std::vector<std::string> shown_queries(const std::string& html) {
  std::vector<std::string> shown;
  for (const Element& title : select(parse_markup(html), "h4")) {
    if (title.text.starts_with("Title of")) shown.push_back(title.text.substr(9));
  }
  return shown;
}

ReportInput with_queries(size_t count) {
  ReportInput input = whole();
  input.queries.clear();
  for (size_t i = 0; i < count; ++i) {
    input.queries.push_back(
        query('q' + std::to_string(i), {"apple"}, static_cast<double>(i) / static_cast<double>(count), {0, 1}));
  }
  return input;
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

/// Relative luminance and contrast as WCAG 2 defines them.
double luminance(const std::string& hex) {
  const std::string full = hex.size() == 3 ? std::string{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]} : hex;
  double sum = 0;
  for (int i = 0; i < 3; ++i) {
    const double value = std::stoi(full.substr(2 * i, 2), nullptr, 16) / 255.0;
    const double linear = value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
    sum += linear * std::array{0.2126, 0.7152, 0.0722}[i];
  }
  return sum;
}

double contrast(const std::string& a, const std::string& b) {
  const auto [low, high] = std::minmax({luminance(a), luminance(b)});
  return (high + 0.05) / (low + 0.05);
}

/// The colours that a :root{…} block of the style sheet names: "--ink:#1b1f23" as ink → 1b1f23.
std::map<std::string, std::string> colors_of(std::string_view block) {
  std::map<std::string, std::string> colors;
  for (size_t at = block.find("--"); at != std::string_view::npos; at = block.find("--", at + 2)) {
    const size_t value = block.find(":#", at);
    if (value == std::string_view::npos) break;
    const size_t end = block.find_first_not_of("0123456789abcdef", value + 2);
    colors.emplace(block.substr(at + 2, value - at - 2), block.substr(value + 2, end - value - 2));
  }
  return colors;
}

TEST(Report, TextStandsOutInEveryScheme) {
  const std::string html = render_report({}).html;
  size_t schemes = 0;
  for (size_t at = html.find(":root{"); at != std::string::npos; at = html.find(":root{", at + 1), ++schemes) {
    const auto colors = colors_of(std::string_view(html).substr(at, html.find('}', at) - at));
    for (const char* ink : {"ink", "soft", "accent", "hit", "miss", "s0", "s1", "s2", "s3", "s4", "s5"}) {
      for (const char* ground : {"page", "card", "tint"}) {
        EXPECT_GE(contrast(colors.at(ink), colors.at(ground)), 4.5)
            << ink << " on " << ground << ", scheme " << schemes;
      }
    }
    EXPECT_GE(contrast(colors.at("edge"), colors.at("page")), 3) << "controls, scheme " << schemes;
  }
  EXPECT_EQ(schemes, 3u);  // light, dark, paper
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

std::filesystem::path scratch(const std::string& name) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / ("capture_report_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  return folder / name;
}

TEST(Report, PutsPhotosBesideThePage) {
  const std::filesystem::path path = scratch("page.html");
  write_report(path, with_queries(20));
  const auto folder = scratch("page_files");
  EXPECT_EQ(read_file(folder / "g1.jpg"), kJpeg);
  EXPECT_TRUE(std::filesystem::exists(folder / "q19.jpg"));
  write_report(path, with_queries(19));  // an older folder gives way
  EXPECT_FALSE(std::filesystem::exists(folder / "q19.jpg"));
  write_file(folder / "thesis.txt", "years of work");
  EXPECT_THROW(write_report(path, with_queries(20)), UserError);
  EXPECT_EQ(read_file(folder / "thesis.txt"), "years of work");
  std::filesystem::remove_all(path.parent_path());
}

TEST(Report, IsWrittenWholeOrNotAtAll) {
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / ("capture_report_test_" + std::to_string(::getpid()) + ".html");
  write_report(path, whole());
  EXPECT_EQ(read_file(path), render_report(whole()).html);
  std::filesystem::remove(path);
  EXPECT_THROW(write_report(path / "not" / "a" / "folder.html", whole()), UserError);
}

}  // namespace
}  // namespace capture
