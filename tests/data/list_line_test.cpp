// Lines of product lists.
#include "capture/base/text_lines.h"
#include "capture/data/import/row.h"
#include "support.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(ListLine, HasFiveFieldsAndKeepsItsLabelsAsListed) {
  const ListLine line = parse_list_line("1#####a title#####http://a#####http://b#####x#;#y z#;#x");
  EXPECT_EQ(line.id, "1");
  EXPECT_EQ(line.caption, "a title");
  EXPECT_EQ(line.source_url, "http://a");
  EXPECT_EQ(line.mirror_url, "http://b");
  EXPECT_THAT(line.labels, ElementsAre("x", "y z", "x"));
}

TEST(ListLine, MayHaveEmptyFields) {
  EXPECT_THAT(parse_list_line("1####################").labels, ElementsAre(""));
  EXPECT_EQ(parse_list_line("1#####t#####u#####v#####l#####more").fields, 6U);
  EXPECT_THAT(parse_list_line("1#####t#####u#####v#####l#####more").labels, ElementsAre("l"));
}

TEST(ListLine, RefusesFewerFields) {
  EXPECT_THAT(error_of([] { parse_list_line(""); }), HasSubstr("the line is empty"));
  EXPECT_THAT(error_of([] { parse_list_line("1#####t#####u#####v"); }), HasSubstr("the line has 4 fields;"));
  EXPECT_THAT(error_of([] { parse_list_line("1"); }), HasSubstr("the line has 1 field;"));
}

TEST(ListLine, ReadsThePublishedDevList) {
  std::vector<size_t> labels;
  TextLines(std::filesystem::path(CAPTURE_TEST_DATA) / "data/published/dev_list_excerpt.txt")
      .for_each([&](int64_t, std::string_view text) {
        const ListLine line = parse_list_line(text);
        EXPECT_EQ(line.fields, 5U);
        EXPECT_THAT(line.id, SizeIs(::testing::AllOf(::testing::Ge(10U), ::testing::Le(12U))));
        labels.push_back(line.labels.size());
      });
  EXPECT_THAT(labels, SizeIs(20U));
  EXPECT_EQ(*std::ranges::max_element(labels), 7U);
}

}  // namespace
}  // namespace capture
