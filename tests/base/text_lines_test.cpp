#include "capture/base/text_lines.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <random>
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
    for (size_t size = 1; size <= bytes.size() + 1; ++size) {
      std::string joined;
      std::vector<std::string> found;
      LineParts parts = text.parts(size);
      for (size_t i = 0; i < parts.end(); ++i) {
        const std::string_view part = parts[i];
        joined += part;
        int64_t last = 0;
        text.for_each_in(part, [&](int64_t line, std::string_view content) {
          EXPECT_EQ(line, ++last);
          found.emplace_back(content);
        });
      }
      EXPECT_EQ(joined, bytes);
      EXPECT_EQ(parts[parts.end()], "");
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

/// By the table of RFC 3629, one sequence after the other.
size_t plain_find_invalid_utf8(std::string_view text) {
  const auto at = [&](size_t i) -> int { return i < text.size() ? static_cast<unsigned char>(text[i]) : -1; };
  const auto in = [&](size_t i, int low, int high) { return at(i) >= low && at(i) <= high; };
  for (size_t i = 0; i < text.size();) {
    const bool tail2 = in(i + 2, 0x80, 0xBF), tail3 = tail2 && in(i + 3, 0x80, 0xBF);
    if (in(i, 0, 0x7F)) {
      i += 1;
    } else if (in(i, 0xC2, 0xDF) && in(i + 1, 0x80, 0xBF)) {
      i += 2;
    } else if (tail2 && ((at(i) == 0xE0 && in(i + 1, 0xA0, 0xBF)) || (in(i, 0xE1, 0xEC) && in(i + 1, 0x80, 0xBF)) ||
                         (at(i) == 0xED && in(i + 1, 0x80, 0x9F)) || (in(i, 0xEE, 0xEF) && in(i + 1, 0x80, 0xBF)))) {
      i += 3;
    } else if (tail3 && ((at(i) == 0xF0 && in(i + 1, 0x90, 0xBF)) || (in(i, 0xF1, 0xF3) && in(i + 1, 0x80, 0xBF)) ||
                         (at(i) == 0xF4 && in(i + 1, 0x80, 0x8F)))) {
      i += 4;
    } else {
      return i;
    }
  }
  return std::string_view::npos;
}

TEST(Utf8, LongTextsAreCheckedAsByteByByte) {
  std::mt19937 random(1);
  const std::vector<std::string> letters = {"a", ",", "\u00e9", "面", "\u0800", "\ud7ff", "\U0001f600", "\U0010ffff"};
  const auto draw = [&](size_t letters_in_all, bool plain) {
    std::string text;
    while (letters_in_all-- > 0) text += plain ? "7" : letters[random() % letters.size()];
    return text;
  };
  for (int i = 0; i < 20000; ++i) {
    std::string text = draw(random() % 70, true) + draw(random() % 90, i % 4 == 0) + draw(random() % 70, true);
    ASSERT_EQ(find_invalid_utf8(text), std::string_view::npos);
    if (text.empty()) continue;
    const size_t place = random() % text.size();
    switch (random() % 4) {
      case 0:  // any byte
        text[place] = static_cast<char>(random());
        break;
      case 1:  // the bytes around which rules change
        text[place] = "\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xed\xef\xf0\xf4\xf5\xff"[random() % 18];
        break;
      case 2:  // cut in the middle
        text.resize(place);
        break;
      default:  // one byte lost
        text.erase(place, 1);
    }
    ASSERT_EQ(find_invalid_utf8(text), plain_find_invalid_utf8(text)) << testing::PrintToString(text);
  }
  // Every pair of bytes at the start of a code point, across the border of a block too.
  for (int pair = 0; pair < 65536; ++pair) {
    std::string text(60 + static_cast<size_t>(pair % 5), 'x');
    text += {static_cast<char>(pair >> 8), static_cast<char>(pair & 0xFF), '\x80', '\x80'};
    text += std::string(128, 'x');
    ASSERT_EQ(find_invalid_utf8(text), plain_find_invalid_utf8(text)) << testing::PrintToString(text);
  }
}

TEST_F(TextLinesTest, AnEmptyFileIsRefused) {
  EXPECT_THROW(lines(""), UserError);
}

}  // namespace
}  // namespace capture
