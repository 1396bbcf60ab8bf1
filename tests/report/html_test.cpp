#include "capture/report/html.h"

#include <gtest/gtest.h>

#include <limits>

#include "markup.h"

namespace capture {
namespace {

const std::string kBad = "\xEF\xBF\xBD";

TEST(Html, EscapesWhatCouldEndTextOrAnAttribute) {
  EXPECT_EQ(escape_html("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(escape_html("&lt;"), "&amp;lt;");
}

TEST(Html, KeepsEveryScriptAndEmoji) {
  const std::string text = "洗面奶 · قهوة · שלום · naïve · 👩‍🍳\tx\ny";
  EXPECT_EQ(clean_utf8(text), text);
  EXPECT_EQ(clean_utf8("\xF4\x8F\xBF\xBF"), "\xF4\x8F\xBF\xBF");  // U+10FFFF, the last code point
}

TEST(Html, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(clean_utf8("a\xFFz"), "a" + kBad + "z");
  EXPECT_EQ(clean_utf8("\x80"), kBad);                                   // continuation without a start
  EXPECT_EQ(clean_utf8("\xE6\xB4"), kBad + kBad);                        // cut off
  EXPECT_EQ(clean_utf8("\xE6<b"), kBad + "<b");                          // the next character survives
  EXPECT_EQ(clean_utf8("\xC0\xBC"), kBad + kBad);                        // overlong "<"
  EXPECT_EQ(clean_utf8("\xE0\x80\xBC"), kBad + kBad + kBad);             // overlong in three bytes
  EXPECT_EQ(clean_utf8("\xF0\x80\x80\xBC"), kBad + kBad + kBad + kBad);  // and in four
  EXPECT_EQ(clean_utf8("\xED\xA0\x80"), kBad + kBad + kBad);             // a surrogate
  EXPECT_EQ(clean_utf8("\xF4\x90\x80\x80"), kBad + kBad + kBad + kBad);  // past the last code point
}

TEST(Html, ReplacesControlCharacters) {
  EXPECT_EQ(clean_utf8(std::string_view("a\0b\x1B\x7F", 5)), "a" + kBad + "b" + kBad + kBad);
  EXPECT_EQ(clean_utf8("\xC2\x85"), kBad);  // a C1 control
  EXPECT_EQ(clean_utf8("\xC2\xA0"), "\xC2\xA0");
}

TEST(Html, WritesNumbersWithoutALocale) {
  EXPECT_EQ(fixed(79.25, 1), "79.2");
  EXPECT_EQ(fixed(-0.04, 1), "0.0");
  EXPECT_EQ(fixed(-1.25, 2), "-1.25");
  EXPECT_EQ(fixed(std::numeric_limits<double>::quiet_NaN(), 1), "–");
  EXPECT_EQ(fixed(std::numeric_limits<double>::infinity(), 1), "–");
  EXPECT_EQ(fixed(std::numeric_limits<double>::max(), 6).size(), 309u + 7u);
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1182083), "1\u202F182\u202F083");
}

TEST(Html, ClosesTagsInOrderAndEscapesAttributes) {
  HtmlWriter html;
  {
    const auto list = html.open("ul", {{"class", "a\"b"}, {"id", ""}});
    html.element("li", {}, "x < y");
    html.empty("img", {{"alt", ""}, {"src", "data:,"}});
  }
  const std::string text = html.take();
  EXPECT_EQ(text, "<ul class=\"a&quot;b\"><li>x &lt; y</li><img alt=\"\" src=\"data:,\"></ul>");
  EXPECT_EQ(testing::parse_markup(text).size(), 3u);
}

}  // namespace
}  // namespace capture
