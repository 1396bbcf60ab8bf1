#include "synthetic_batch.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <array>
#include <numeric>

#include "capture/tensor/random.h"

namespace capture {

namespace {

constexpr int64_t kTokens = 36;
constexpr int64_t kRegions = 36;
constexpr double kMasked = 0.15;

/// How many of 6,547 Product1M test titles have 5, 6, … 36 WordPiece tokens.
constexpr std::array<uint32_t, 32> kTitles = {1,   1,   5,   6,   10,  14,  81,  25,  23,  18,  36,
                                              25,  54,  57,  69,  82,  102, 130, 162, 197, 340, 332,
                                              563, 664, 729, 812, 817, 997, 121, 46,  14,  14};

int64_t draw_length(RandomStream& random, TitleLengths lengths) {
  if (lengths == TitleLengths::full) return kTokens;
  uint32_t rest = random.below(std::accumulate(kTitles.begin(), kTitles.end(), 0U));
  size_t i = 0;
  for (; rest >= kTitles[i]; ++i) rest -= kTitles[i];
  return static_cast<int64_t>(i) + 5;
}

}  // namespace

SyntheticBatch synthetic_batch(const HybridStreamModelOptions& options, int64_t pairs, TitleLengths lengths,
                               uint64_t seed) {
  RandomStream random(seed, 0, 0);
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  SyntheticBatch batch;
  PairBatch& inputs = batch.inputs;
  inputs.token_ids = at::randint(0, options.vocabulary_size, {pairs, kTokens}, generator, at::kLong);
  inputs.text_mask = at::zeros({pairs, kTokens}, at::kBool);
  inputs.region_features = at::randn({pairs, 1 + kRegions, options.feature_width}, generator).relu_();
  inputs.region_locations = at::rand({pairs, 1 + kRegions, 5}, generator);
  inputs.region_mask = at::ones({pairs, 1 + kRegions}, at::kBool);
  inputs.regions_padded = false;

  std::vector<int64_t> tokens;
  std::vector<int64_t> regions;
  for (int64_t b = 0; b < pairs; ++b) {
    const int64_t length = draw_length(random, lengths);
    inputs.text_mask[b].narrow(0, 0, length).fill_(true);
    for (int64_t t = 1; t + 1 < length; ++t) {
      if (random.uniform() < kMasked || (b == 0 && t == 1)) tokens.push_back(b * kTokens + t);
    }
    for (int64_t r = 1; r <= kRegions; ++r) {
      if (random.uniform() < kMasked || (b == 0 && r == 1)) regions.push_back(b * (1 + kRegions) + r);
    }
  }
  inputs.text_padded = lengths != TitleLengths::full;

  batch.targets.token_rows = at::tensor(tokens, at::kLong);
  batch.targets.region_rows = at::tensor(regions, at::kLong);
  batch.targets.token_ids = inputs.token_ids.flatten().index_select(0, batch.targets.token_rows);
  const at::Tensor features = inputs.region_features.flatten(0, 1);
  batch.targets.region_features = features.index_select(0, batch.targets.region_rows);
  features.index_fill_(0, batch.targets.region_rows, 0.0);
  return batch;
}

}  // namespace capture
