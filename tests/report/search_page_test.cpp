#include "capture/report/search_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "items.h"
#include "markup.h"

namespace capture {
namespace {

using testing::bytes;
using ::testing::HasSubstr;
using testing::item;
using testing::kJpeg;
using ::testing::Not;
using testing::parse_markup;
using testing::select;
using testing::select_class;
using ::testing::SizeIs;

SearchPage small_page() {
  AskedQuestion photo{.asked = {.id = "a.jpg", .title = {}, .labels = {}, .thumbnail = bytes(kJpeg)},
                      .photo = true,
                      .how = "photo against photos and titles",
                      .found = {{item("g1", {"Apple", "Apple", "Pear"}), 0.875}, {item("g2", {"Title of g2"}), 0.25}}};
  AskedQuestion title{.asked = {.id = "2", .title = "红苹果 <b>", .labels = {}, .thumbnail = {}},
                      .photo = false,
                      .how = "title against titles",
                      .found = {{item("g3", {}), 1.5}}};
  return {.gallery = "runs/demo/gallery, 470 photos",
          .model = "demo, step 12",
          .created = "1 May 2025",
          .asked = {photo, title},
          .left_out = 0};
}

TEST(SearchPage, ShowsEveryQuestionWithAllThatWasFound) {
  const std::string html = render_search_page(small_page());
  const auto elements = parse_markup(html);
  EXPECT_THAT(select_class(elements, "query"), SizeIs(2));
  EXPECT_THAT(select(elements, "ol"), SizeIs(2));
  EXPECT_THAT(select(elements, "img"), SizeIs(4)) << "the asked photo and three found ones; a title has none";
  const auto headings = select(elements, "h2");
  ASSERT_THAT(headings, SizeIs(2));
  EXPECT_EQ(headings[0].text, "a.jpg") << "a photo without a title goes by its name";
  EXPECT_EQ(headings[1].text, "红苹果 &lt;b&gt;");
  for (const char* text : {"470 photos", "demo, step 12", "1 May 2025", "0.875", "0.250", "photo against photos"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
}

TEST(SearchPage, SaysALabelOnceAndNotWhenTheTitleSaysIt) {
  const auto lists = select_class(parse_markup(render_search_page(small_page())), "labels");
  ASSERT_THAT(lists, SizeIs(1));
  EXPECT_EQ(lists[0].text, "ApplePear");
}

TEST(SearchPage, DrawsScoresOnOneScale) {
  const auto meters = select(parse_markup(render_search_page(small_page())), "i");
  ASSERT_THAT(meters, SizeIs(3));
  EXPECT_EQ(meters[0]["style"], "width:87.5%");
  EXPECT_EQ(meters[1]["style"], "width:25.0%");
  EXPECT_EQ(meters[2]["style"], "width:75.0%") << "of 2, where similarities add up";
}

TEST(SearchPage, LeavesAPlaceholderForAPhotoThatCannotBeShown) {
  SearchPage page = small_page();
  page.asked[0].asked.thumbnail = bytes("GIF89a");
  page.asked[0].found[0].item.thumbnail = {};
  const std::string large = std::string(kJpeg) + std::string(size_t{9} << 20, 'x');
  page.asked[0].found[1].item.thumbnail = bytes(large);
  const std::string html = render_search_page(page);
  EXPECT_THAT(select_class(parse_markup(html), "none"), SizeIs(3));
  EXPECT_LT(html.size(), size_t{1} << 20);
}

TEST(SearchPage, SaysWhatIsNotShown) {
  SearchPage page = small_page();
  EXPECT_THAT(render_search_page(page), Not(HasSubstr("The first")));
  page.left_out = 40;
  EXPECT_THAT(render_search_page(page), HasSubstr("The first 2 questions of 42"));
}

TEST(SearchPage, TakesNoScriptFromAnyText) {
  SearchPage page = small_page();
  const std::string evil = "\"><script>alert(1)</script>\xFF";
  page.gallery = page.model = page.created = page.asked[0].how = page.asked[1].asked.title = evil;
  page.asked[0].found[0].item = {.id = evil, .title = evil, .labels = {evil, "x"}, .thumbnail = {}};
  const std::string html = render_search_page(page);
  EXPECT_THAT(select(parse_markup(html), "script"), SizeIs(0));
}

}  // namespace
}  // namespace capture
