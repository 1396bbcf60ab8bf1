#include "capture/base/terminal.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace capture {
namespace {

TEST(Terminal, CountsWideCharactersTwiceAndMarksNotAtAll) {
  EXPECT_EQ(display_width(""), 0);
  EXPECT_EQ(display_width("apple"), 5);
  EXPECT_EQ(display_width("Äpfel – crème"), 13);
  EXPECT_EQ(display_width("韩国AHC黄金套盒"), 15);
  EXPECT_EQ(display_width("ｶﾌﾟｾﾙ"), 5);  // half-width forms
  EXPECT_EQ(display_width("e\u0301"), 1);
  EXPECT_EQ(display_width("🍎"), 2);
}

TEST(Terminal, CountsBrokenBytesAndControlsAsOneEach) {
  EXPECT_EQ(display_width("\xFF\xC3"), 2);
  EXPECT_EQ(display_width("a\tb\x1B"), 4);
  EXPECT_EQ(display_width("\xE9\x9F"), 2);          // cut off
  EXPECT_EQ(display_width("\xED\xA0\x80"), 3);      // a surrogate
  EXPECT_EQ(display_width("\xF4\x90\x80\x80"), 4);  // past the last code point
}

TEST(Terminal, MakesOneHarmlessLineOfAnyText) {
  EXPECT_EQ(one_line("two\nlines\r\n"), "two lines  ");
  EXPECT_EQ(one_line("\x1B[31mred\x07"), " [31mred ");
  EXPECT_EQ(one_line("a\xC2\x9B"
                     "b\u2028c"),
            "a b c");  // the one-character form of ESC [, and a line separator
  EXPECT_EQ(one_line(std::string_view("nul\0!", 5)), "nul !");
  EXPECT_EQ(one_line("bad \xFF\xFE."), "bad \uFFFD\uFFFD.");
  EXPECT_EQ(one_line("黄金 – ok"), "黄金 – ok");
}

TEST(Terminal, FitsTextIntoColumns) {
  EXPECT_EQ(fitted("ab", 4), "ab  ");
  EXPECT_EQ(fitted("abcd", 4), "abcd");
  EXPECT_EQ(fitted("abcde", 4), "abc…");
  EXPECT_EQ(fitted("黄金", 5), "黄金 ");
  EXPECT_EQ(fitted("黄金套", 4), "黄… ");  // a wide character that does not fit leaves a column over
  EXPECT_EQ(fitted("黄金套", 5), "黄金…");
  EXPECT_EQ(fitted("abc", 1), "…");
  EXPECT_EQ(fitted("e\u0301fgh", 3), "e\u0301f…");
}

TEST(Terminal, EveryFittedTextHasTheWidthAskedFor) {
  for (const char* text : {"", "a", "黄", "黄金套盒", "x黄y金z", "🍎🍏", "\xFF黄\xC3"}) {
    for (int64_t width = 1; width < 12; ++width) EXPECT_EQ(display_width(fitted(text, width)), width) << text;
  }
}

TEST(Terminal, APipeHasNoColumns) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(terminal_columns(ends[1]), 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace capture
