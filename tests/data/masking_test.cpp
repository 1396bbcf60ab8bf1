#include "capture/data/masking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "capture/base/config.h"
#include "capture/base/error.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

constexpr SpecialTokens kSpecials{.pad = 0, .unknown = 1, .cls = 2, .sep = 3, .mask = 4};
constexpr int32_t kVocabulary = 50;

TEST(Masking, NeverTouchesClsSepAndPadding) {
  const MaskingOptions all{.token_probability = 1.0};
  RandomStream random(1, 2, 3);
  std::vector<int32_t> tokens = {2, 10, 3, 11, 3, 0, 0};
  std::vector<MaskedToken> masked;
  mask_tokens(all, random, kSpecials, kVocabulary, tokens, masked);
  ASSERT_EQ(masked.size(), 2U);
  EXPECT_EQ(masked[0].position, 1);
  EXPECT_EQ(masked[0].token, 10);
  EXPECT_EQ(masked[1].position, 3);
  EXPECT_EQ(masked[1].token, 11);
  EXPECT_EQ(tokens[0], 2);
  EXPECT_EQ(tokens[2], 3);
  EXPECT_EQ(tokens[4], 3);
  EXPECT_EQ(tokens[5], 0);
}

/// Whether `count` of `trials` is what chance `p` gives, within five standard deviations.
testing::AssertionResult is_likely(int64_t count, int64_t trials, double p) {
  const double expected = p * static_cast<double>(trials);
  const double spread = 5 * std::sqrt(expected * (1 - p));
  if (std::abs(static_cast<double>(count) - expected) <= spread) return testing::AssertionSuccess();
  return testing::AssertionFailure() << count << " of " << trials << ", expected " << expected << " ± " << spread;
}

TEST(Masking, ChoosesAndReplacesTokensAtThePublishedRates) {
  const MaskingOptions options;
  int64_t chosen = 0;
  int64_t replaced_by_mask = 0;
  int64_t kept = 0;
  std::map<int32_t, int64_t> drawn;
  constexpr int64_t kSamples = 20000;
  constexpr int32_t kTokens = 20;
  for (uint64_t sample = 0; sample < kSamples; ++sample) {
    RandomStream random(42, 0, sample);
    std::vector<int32_t> tokens(kTokens + 2, 7);
    tokens.front() = kSpecials.cls;
    tokens.back() = kSpecials.sep;
    std::vector<MaskedToken> masked;
    mask_tokens(options, random, kSpecials, kVocabulary, tokens, masked);
    chosen += static_cast<int64_t>(masked.size());
    for (const MaskedToken& token : masked) {
      EXPECT_EQ(token.token, 7);
      const int32_t now = tokens[static_cast<size_t>(token.position)];
      // Token 7 and [MASK] are also drawn at random, once in 50 each.
      if (now == kSpecials.mask) ++replaced_by_mask;
      if (now == 7) ++kept;
      if (now != 7 && now != kSpecials.mask) ++drawn[now];
    }
  }
  EXPECT_TRUE(is_likely(chosen, kSamples * kTokens, 0.15));
  EXPECT_TRUE(is_likely(replaced_by_mask, chosen, 0.8 + 0.1 / kVocabulary));
  EXPECT_TRUE(is_likely(kept, chosen, 0.1 + 0.1 / kVocabulary));
  EXPECT_EQ(drawn.size(), kVocabulary - 2U);
  for (const auto& [token, count] : drawn) EXPECT_TRUE(is_likely(count, chosen, 0.1 / kVocabulary)) << token;
}

TEST(Masking, ChoosesAndZeroesRegionsAtThePublishedRates) {
  const MaskingOptions options;
  int64_t chosen = 0;
  int64_t zeroed = 0;
  std::vector<int64_t> by_region(36, 0);
  constexpr int64_t kSamples = 20000;
  for (uint64_t sample = 0; sample < kSamples; ++sample) {
    RandomStream random(42, 0, sample, 1);
    std::vector<MaskedRegion> masked;
    mask_regions(options, random, 36, masked);
    for (const MaskedRegion& region : masked) {
      ++by_region[static_cast<size_t>(region.region)];
      zeroed += region.zeroed ? 1 : 0;
    }
    chosen += static_cast<int64_t>(masked.size());
  }
  EXPECT_TRUE(is_likely(chosen, kSamples * 36, 0.15));
  EXPECT_TRUE(is_likely(zeroed, chosen, 0.9));
  for (const int64_t count : by_region) EXPECT_TRUE(is_likely(count, kSamples, 0.15));
}

TEST(Masking, CanBeSwitchedOff) {
  const MaskingOptions off{.token_probability = 0, .region_probability = 0};
  RandomStream random(1, 1, 1);
  std::vector<int32_t> tokens = {2, 10, 11, 3};
  std::vector<MaskedToken> masked_tokens;
  std::vector<MaskedRegion> masked_regions;
  mask_tokens(off, random, kSpecials, kVocabulary, tokens, masked_tokens);
  mask_regions(off, random, 36, masked_regions);
  EXPECT_TRUE(masked_tokens.empty());
  EXPECT_TRUE(masked_regions.empty());
}

TEST(MaskingOptions, RefuseSharesOfMoreThanAll) {
  const JsonDocument document = parse_json(R"({"token_mask_share": 0.8, "token_random_share": 0.3})", "masking.json");
  MaskingOptions options;
  try {
    read_options(document, options);
    FAIL() << "accepted";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("masking.json:1: token_random_share and token_mask_share add up"));
  }
}

}  // namespace
}  // namespace capture
