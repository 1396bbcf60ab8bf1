#include "capture/base/base64.h"

#include <gtest/gtest.h>

#include <optional>
#include <string_view>
#include <vector>

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

std::string decoded(std::string_view text) {
  std::string bytes(base64_bytes(text).value(), '?');
  EXPECT_EQ(from_base64(text, std::as_writable_bytes(std::span(bytes))), std::string_view::npos) << text;
  return bytes;
}

/// Where decoding fails.
size_t fault_in(std::string_view text) {
  std::vector<std::byte> bytes(base64_bytes(text).value());
  return from_base64(text, bytes);
}

TEST(Base64, ReadsWhatItWroteAtEveryLength) {
  std::string bytes;
  for (int length = 0; length < 200; ++length) {
    EXPECT_EQ(decoded(encoded(bytes)), bytes) << length;
    bytes += static_cast<char>(length * 37 + 11);
  }
}

TEST(Base64, NamesTheFirstCharacterThatIsNoDigit) {
  const std::string text = encoded(std::string(150, 'x'));
  for (size_t at = 0; at < text.size(); ++at) {
    for (const char wrong : {' ', '\n', '-', '_', '@', '[', '`', '{', '*', ',', '.', ':', '=', '\0', '\x80', '\xC1'}) {
      if (wrong == '=' && at + 1 == text.size()) continue;  // padding
      std::string damaged = text;
      damaged[at] = wrong;
      EXPECT_EQ(fault_in(damaged), at) << static_cast<int>(wrong);
    }
  }
}

TEST(Base64, RefusesPaddingThatDoesNotEndTheText) {
  EXPECT_EQ(base64_bytes("Zg="), std::nullopt);
  EXPECT_EQ(base64_bytes("Zm9vZ"), std::nullopt);
  EXPECT_EQ(fault_in("===="), 0U);
  EXPECT_EQ(fault_in("Z==="), 1U);
  EXPECT_EQ(fault_in("Zg=g"), 2U);
  EXPECT_EQ(fault_in("Zg==Zg=="), 2U);
  EXPECT_EQ(fault_in("Zh=="), 1U);  // bits that belong to no byte
  EXPECT_EQ(fault_in("Zm9="), 2U);
}

}  // namespace
}  // namespace capture
