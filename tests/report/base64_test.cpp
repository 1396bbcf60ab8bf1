#include "capture/report/base64.h"

#include <gtest/gtest.h>

#include <string_view>

namespace capture {
namespace {

std::string encoded(std::string_view text) {
  return to_base64(std::as_bytes(std::span(text)));
}

TEST(Base64, MatchesTheVectorsOfRfc4648) {
  EXPECT_EQ(encoded(""), "");
  EXPECT_EQ(encoded("f"), "Zg==");
  EXPECT_EQ(encoded("fo"), "Zm8=");
  EXPECT_EQ(encoded("foo"), "Zm9v");
  EXPECT_EQ(encoded("foob"), "Zm9vYg==");
  EXPECT_EQ(encoded("fooba"), "Zm9vYmE=");
  EXPECT_EQ(encoded("foobar"), "Zm9vYmFy");
}

TEST(Base64, WritesEveryDigitAndTakesBytesAsUnsigned) {
  EXPECT_EQ(encoded(std::string_view("\x00\x10\x83\x10\x51\x87\x20\x92\x8B", 9)), "ABCDEFGHIJKL");
  EXPECT_EQ(encoded("\xFF\xFF\xFE"), "///+");
  EXPECT_EQ(encoded("\xFB\xEF"), "++8=");
}

}  // namespace
}  // namespace capture
