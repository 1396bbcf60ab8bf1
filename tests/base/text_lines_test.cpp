#include "capture/base/text_lines.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "capture/base/error.h"

namespace capture {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TextLinesTest : public testing::Test {
 protected:
  std::vector<std::string> lines(std::string_view bytes) {
    write_file(path_, bytes);
    std::vector<std::string> found;
    TextLines(path_).for_each([&](int64_t line, std::string_view text) {
      EXPECT_EQ(line, static_cast<int64_t>(found.size()) + 1);
      found.emplace_back(text);
    });
    return found;
  }

  void TearDown() override { std::filesystem::remove(path_); }

  std::filesystem::path path_ = std::filesystem::temp_directory_path() / ("lines-" + std::to_string(::getpid()));
};

TEST_F(TextLinesTest, EveryLineEndCounts) {
  EXPECT_THAT(lines("a\nb\r\nc\rd"), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(lines("a\n\n\r\r\n"), ElementsAre("a", "", "", ""));
  EXPECT_THAT(lines("\n"), ElementsAre(""));
}

TEST_F(TextLinesTest, PartsHoldWholeLinesAndAllOfThem) {
  for (const std::string bytes : {"a\nb\r\nc\rd", "one\r\ntwo\r\nthree\r\n", "\r\r\n\n\n\r", "alone"}) {
    const std::vector<std::string> expected = lines(bytes);
    const TextLines text(path_);
    for (size_t size = 0; size <= bytes.size(); ++size) {
      std::string joined;
      std::vector<std::string> found;
      for (const std::string_view part : text.parts(size)) {
        joined += part;
        int64_t last = 0;
        text.for_each_in(part, [&](int64_t line, std::string_view content) {
          EXPECT_EQ(line, ++last);
          found.emplace_back(content);
        });
      }
      EXPECT_EQ(joined, bytes);
      EXPECT_EQ(found, expected) << "parts of " << size;
    }
  }
}

TEST_F(TextLinesTest, WhiteSpaceOfAnyScriptIsStrippedAtTheEndsAlone) {
  EXPECT_THAT(lines(" a b \t\x1c\n\u3000\u00a0面 霜\u2003\u3000\n\u0085\u2028\n"), ElementsAre("a b", "面 霜", ""));
  EXPECT_EQ(strip("\ufeff a"), "\ufeff a") << "a byte-order mark is no white space";
  EXPECT_EQ(strip("\xe3\x80"), "\xe3\x80") << "half a code point is left alone";
}

TEST_F(TextLinesTest, BytesThatAreNotUtf8AreRefusedByLine) {
  for (const char* bad : {"\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe9\x9d", "\x80"}) {
    const std::string bytes = "fine\n0123456789 " + std::string(bad) + "\nfine\n";
    try {
      lines(bytes);
      ADD_FAILURE() << "accepted " << testing::PrintToString(bad);
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path_.string() + ":2: byte 12 of the line is not UTF-8"));
    }
  }
  EXPECT_EQ(find_invalid_utf8("plain, 面霜, \U0001f600, \u07ff, \uffff"), std::string_view::npos);
}

TEST_F(TextLinesTest, AnEmptyFileIsRefused) {
  EXPECT_THROW(lines(""), UserError);
}

}  // namespace
}  // namespace capture
