#include "synthetic_batch.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <array>

namespace capture {

namespace {

constexpr int64_t kTokens = 36;
constexpr int64_t kRegions = 36;
constexpr double kMasked = 0.15;
/// BERT's Chinese vocabulary: [CLS], [SEP], [MASK], and the first of the words behind them and what is not used.
constexpr int64_t kClassify = 101, kSeparate = 102, kMask = 103, kFirstWord = 670;

/// How many of 6,547 Product1M test titles have 5, 6, … 36 WordPiece tokens.
constexpr std::array<float, 32> kTitles = {1,   1,   5,   6,   10,  14,  81,  25,  23,  18,  36,  25,  54,  57, 69, 82,
                                           102, 130, 162, 197, 340, 332, 563, 664, 729, 812, 817, 997, 121, 46, 14, 14};

/// Numbers of the flattened tensor's true entries.
at::Tensor rows_of(const at::Tensor& mask) {
  return mask.flatten().nonzero().squeeze(1);
}

}  // namespace

SyntheticBatch synthetic_batch(const HybridStreamModelOptions& options, int64_t pairs, TitleLengths lengths,
                               uint64_t seed) {
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const auto uniform = [&](at::IntArrayRef sizes) { return at::rand(sizes, generator); };
  SyntheticBatch batch;
  PairBatch& inputs = batch.inputs;
  MaskedTargets& targets = batch.targets;

  at::Tensor length = at::full({pairs}, kTokens, at::kLong);
  if (lengths == TitleLengths::product1m) {
    const at::Tensor weights = at::tensor(at::ArrayRef<float>(kTitles.data(), kTitles.size()));
    length = 5 + weights.multinomial(pairs, /*replacement=*/true, generator);
  }
  const at::Tensor position = at::arange(kTokens).unsqueeze(0);
  const at::Tensor last = length.unsqueeze(1) - 1;
  inputs.text_mask = position <= last;
  inputs.text_padded = lengths != TitleLengths::full;
  const bool is_bert = options.vocabulary_size > kFirstWord;  // tests have a few tokens, of no meaning
  const auto special = [&](int64_t token) { return is_bert ? token : 0; };
  const at::Tensor words =
      at::randint(special(kFirstWord), options.vocabulary_size, {pairs, kTokens}, generator, at::kLong);
  at::Tensor masked = (position > 0) & (position < last) & (uniform({pairs, kTokens}) < kMasked);
  masked[0][1] = true;  // a loss of nothing has no gradient
  const at::Tensor how = uniform({pairs, kTokens});
  const at::Tensor others = at::randint(0, options.vocabulary_size, {pairs, kTokens}, generator, at::kLong);
  at::Tensor& ids = inputs.token_ids;
  ids = words.masked_fill(masked & (how < 0.8), special(kMask));
  ids = at::where(masked & (how >= 0.8) & (how < 0.9), others, ids);
  ids.select(1, 0).fill_(special(kClassify));
  ids.scatter_(1, last, special(kSeparate));
  ids.mul_(inputs.text_mask);
  targets.token_rows = rows_of(masked);
  targets.token_ids = words.flatten().index_select(0, targets.token_rows);

  const at::Tensor features = at::randn({pairs, kRegions, options.feature_width}, generator).relu_();
  const at::Tensor corner = uniform({pairs, kRegions, 2}) * 0.6;
  const at::Tensor size = uniform({pairs, kRegions, 2}) * 0.4;
  const at::Tensor boxes = at::cat({corner, corner + size, size.prod(-1, /*keepdim=*/true)}, -1);
  at::Tensor chosen = uniform({pairs, kRegions}) < kMasked;
  chosen[0][0] = true;
  const at::Tensor zeroed = chosen & (uniform({pairs, kRegions}) < 0.9);
  const at::Tensor left = features.masked_fill(zeroed.unsqueeze(-1), 0.0);
  const at::Tensor whole = at::tensor({0.0F, 0.0F, 1.0F, 1.0F, 1.0F}).expand({pairs, 1, 5});
  inputs.region_features = at::cat({left.mean(1, /*keepdim=*/true), left}, 1);
  inputs.region_locations = at::cat({whole, boxes}, 1);
  inputs.region_mask = at::ones({pairs, 1 + kRegions}, at::kBool);
  inputs.regions_padded = false;
  targets.region_rows = rows_of(at::constant_pad_nd(chosen, {1, 0}));  // behind the global region
  targets.region_features = features.flatten(0, 1).index_select(0, rows_of(chosen));
  return batch;
}

Json description_of(const SyntheticBatch& batch) {
  const auto bits = [](const at::Tensor& numbers) { return numbers.view(at::kInt).sum(at::kLong).item<int64_t>(); };
  return {{"tokens", batch.inputs.text_mask.sum().item<int64_t>()},
          {"masked_tokens", batch.targets.token_rows.numel()},
          {"masked_regions", batch.targets.region_rows.numel()},
          {"token_ids", batch.inputs.token_ids.sum().item<int64_t>()},
          {"region_features", bits(batch.inputs.region_features)},
          {"region_locations", bits(batch.inputs.region_locations)}};
}

}  // namespace capture
