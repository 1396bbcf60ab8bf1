// Rows of a TSV file: the good one, and every way to spoil it.
#include <limits>

#include "capture/data/import/row.h"
#include "rows.h"
#include "support.h"

namespace capture {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const RowRules kRules{.min_regions = 3, .max_regions = 3};

std::string refusal(const std::string& line, const RowRules& rules = kRules) {
  Sample sample;
  return error_of([&] { parse_tsv_row(line, rules, sample); });
}

TEST(TsvRow, BecomesASample) {
  Sample sample{.id = "left over", .titles = {"a", "b"}, .views = {{}, {}}};
  parse_tsv_row(good_row().line(), kRules, sample);
  EXPECT_EQ(sample.id, "item-1");
  EXPECT_THAT(sample.titles, ElementsAre("爽肤水 120ml"));
  ASSERT_EQ(sample.views.size(), 1U);
  const Regions& regions = sample.views[0];
  EXPECT_EQ(regions.image_width, 640);
  EXPECT_EQ(regions.image_height, 480);
  EXPECT_THAT(regions.boxes, ElementsAre(0, 1, 100, 200.5, 1, 2, 101, 201.5, 2, 3, 102, 202.5));
  ASSERT_EQ(regions.features.size(), 12U);
  EXPECT_EQ(regions.features[0], 31 * 0.25F);
  EXPECT_EQ(regions.features[11], (31 + 14 + 3) * 0.25F);
}

TEST(TsvRow, HasSevenColumns) {
  EXPECT_THAT(refusal(""), HasSubstr("has 1 column; allowed: 7, with tabs"));
  EXPECT_THAT(refusal("only text"), HasSubstr("has 1 column"));
  EXPECT_THAT(refusal(good_row().line() + "\tmore"), HasSubstr("has 8 columns"));
  TsvRow row = good_row();
  const std::string whole = row.line();
  EXPECT_THAT(refusal(whole.substr(0, whole.rfind('\t'))), HasSubstr("has 6 columns"));
}

TEST(TsvRow, RefusesNumbersThatAreNone) {
  for (const char* wrong : {"", "many", "-3", "3.5", "3 ", "0x3", "99999999999999999999"}) {
    TsvRow row = good_row();
    row.count = wrong;
    EXPECT_THAT(refusal(row.line()), HasSubstr("for its number of boxes; allowed: a whole number")) << wrong;
    row = good_row();
    row.width = wrong;
    EXPECT_THAT(refusal(row.line()), HasSubstr("for its image width")) << wrong;
    row = good_row();
    row.height = wrong;
    EXPECT_THAT(refusal(row.line()), HasSubstr("for its image height")) << wrong;
  }
}

TEST(TsvRow, RefusesFewerAndMoreBoxesThanAreAsked) {
  EXPECT_THAT(refusal(good_row(1, 2).line()), HasSubstr("has 2 boxes; allowed: 3; --min-regions"));
  EXPECT_THAT(refusal(good_row(1, 4).line()), HasSubstr("has 4 boxes; allowed: 3; --max-regions"));
  EXPECT_THAT(refusal(good_row(1, 35).line(), {}), HasSubstr("has 35 boxes; allowed: 36"));
  EXPECT_EQ(refusal(good_row(1, 36).line(), {}), "");
  EXPECT_EQ(refusal(good_row(1, 1).line(), {.min_regions = 1}), "");
  EXPECT_THAT(refusal(good_row(1, 0).line(), {.min_regions = 1}), HasSubstr("has 0 boxes; allowed: 1 to 36"));
}

TEST(TsvRow, RefusesBase64ThatIsNone) {
  TsvRow row = good_row();
  row.features[5] = '*';
  EXPECT_THAT(refusal(row.line()), HasSubstr("has features that are not base64: character 6 is \"*\""));
  row = good_row();
  row.boxes[0] = '=';
  EXPECT_THAT(refusal(row.line()), HasSubstr("has boxes that are not base64: character 1 is \"=\""));
  row = good_row();
  row.features.pop_back();
  EXPECT_THAT(refusal(row.line()), AllOf(HasSubstr("63 base64 characters"), HasSubstr("cut short")));
  row.features = "AAAAAAA=";
  EXPECT_THAT(refusal(row.line()), HasSubstr("has features of 5 bytes"));
}

TEST(TsvRow, RefusesSizesThatDisagree) {
  TsvRow row = good_row();
  row.boxes = good_row(1, 2).boxes;
  EXPECT_THAT(refusal(row.line()), HasSubstr("has 8 box numbers for 3 boxes; allowed: 12"));
  row = good_row();
  row.features = base64_of({1, 2, 3, 4});
  EXPECT_THAT(refusal(row.line()), HasSubstr("has 4 feature values for 3 boxes"));
  row.features = "";
  EXPECT_THAT(refusal(row.line()), HasSubstr("has 0 feature values for 3 boxes"));
  RowRules wide = kRules;
  wide.feature_width = 5;
  EXPECT_THAT(refusal(good_row().line(), wide), HasSubstr("has 4 feature values a box; allowed: 5, as the rows"));
}

TEST(TsvRow, AsksForATitleUnlessTitlesComeFromElsewhere) {
  TsvRow row = good_row();
  for (const char* empty : {"", "  ", "\xE3\x80\x80"}) {
    row.title = empty;
    EXPECT_THAT(refusal(row.line()), HasSubstr("has no title"));
  }
  RowRules joined = kRules;
  joined.titles_elsewhere = true;
  EXPECT_EQ(refusal(row.line(), joined), "");
  const std::string line = row.line();
  EXPECT_EQ(refusal(line.substr(0, line.rfind('\t')), joined), "");
}

TEST(TsvRow, TakesWindowsLineEndsWhenToldTo) {
  EXPECT_THAT(refusal(good_row().line() + "\r"), HasSubstr("ends as lines on Windows do"));
  RowRules windows = kRules;
  windows.windows_line_ends = true;
  Sample sample;
  parse_tsv_row(good_row().line() + "\r", windows, sample);
  EXPECT_EQ(sample.titles[0], "爽肤水 120ml");
}

TEST(TsvRow, IsNeverMistakenWhenCutShort) {
  const std::string line = good_row().line();
  const size_t title = line.rfind('\t') + 1;
  for (size_t length = 0; length <= title; ++length) EXPECT_NE(refusal(line.substr(0, length)), "") << length;
}

TEST(TsvRow, KeepsItsIdForTheRejects) {
  TsvRow row = good_row();
  row.count = "x";
  Sample sample;
  error_of([&] { parse_tsv_row(row.line(), kRules, sample); });
  EXPECT_EQ(sample.id, "item-1");
  EXPECT_EQ(tsv_row_id("no tab"), "");
}

}  // namespace
}  // namespace capture
