#include "capture/data/masking.h"

namespace capture {

void MaskingOptions::visit(FieldVisitor& f) {
  f.field("token_probability", token_probability, "Chance of a token to be chosen for prediction.", {0.0, 1.0});
  f.field("token_mask_share", token_mask_share, "Share of the chosen tokens that [MASK] replaces.", {0.0, 1.0});
  f.field("token_random_share", token_random_share,
          "Share of the chosen tokens that a random one replaces; the rest is kept as it is.", {0.0, 1.0});
  f.field("region_probability", region_probability, "Chance of a region to be chosen for prediction.", {0.0, 1.0});
  f.field("region_zero_share", region_zero_share,
          "Share of the chosen regions whose feature is zeroed; the rest is kept as it is.", {0.0, 1.0});
}

void MaskingOptions::check(FieldChecker& c) const {
  c.require(token_mask_share + token_random_share <= 1.0 + 1e-9, "token_random_share",
            "and token_mask_share add up to more than 1", "shares that leave 0 or more for kept tokens");
}

void mask_tokens(const MaskingOptions& options, RandomStream& random, const SpecialTokens& specials,
                 int64_t vocabulary_size, std::span<int32_t> tokens, std::vector<MaskedToken>& masked) {
  const auto chosen_below = static_cast<float>(options.token_probability);
  const auto mask_below = static_cast<float>(options.token_mask_share);
  const auto random_below = static_cast<float>(options.token_mask_share + options.token_random_share);
  for (size_t i = 0; i < tokens.size(); ++i) {
    int32_t& token = tokens[i];
    if (token == specials.cls || token == specials.sep || token == specials.pad) continue;
    if (random.uniform() >= chosen_below) continue;
    masked.push_back({static_cast<int32_t>(i), token});
    const float action = random.uniform();
    if (action < mask_below) {
      token = specials.mask;
    } else if (action < random_below) {
      token = static_cast<int32_t>(random.below(static_cast<uint32_t>(vocabulary_size)));
    }
  }
}

void mask_regions(const MaskingOptions& options, RandomStream& random, int64_t regions,
                  std::vector<MaskedRegion>& masked) {
  for (int64_t i = 0; i < regions; ++i) {
    if (random.uniform() >= static_cast<float>(options.region_probability)) continue;
    masked.push_back({static_cast<int32_t>(i), random.uniform() < static_cast<float>(options.region_zero_share)});
  }
}

}  // namespace capture
