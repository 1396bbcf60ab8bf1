// Small models and batches for tests.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "capture/model/hybrid_stream.h"

namespace capture {

/// A model of width 24 with these numbers of layers, without dropout.
inline HybridStreamModelOptions small_options(int64_t text, int64_t image, int64_t cross, int64_t co) {
  HybridStreamModelOptions options;
  options.width = 24;
  options.projection_width = 16;
  options.vocabulary_size = 50;
  options.feature_width = 10;
  options.text_positions = 12;
  options.dropout = 0.0;
  options.attention_dropout = 0.0;
  options.text = {.layers = text, .heads = 3, .feed_forward = 32};
  options.image = {.layers = image, .heads = 2, .feed_forward = 20};
  options.cross = {.layers = cross, .heads = 4, .width = 16};
  options.co_transformer = {.layers = co, .heads = 6, .positions = 20, .first_region = 12};
  return options;
}

/// Weights larger than a model starts with, so that every part of it matters to the result.
inline HybridStreamModel small_model(const HybridStreamModelOptions& options, uint64_t seed = 1) {
  HybridStreamModel model(options, seed);
  const at::NoGradGuard no_grad;
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (auto& item : model->named_parameters()) {
    at::Tensor parameter = item.value();
    parameter.add_(at::randn(parameter.sizes(), generator), 0.2);
  }
  model->eval();
  return model;
}

/// Random pairs with these numbers of tokens and of regions (the global one included). What is padded holds values
/// that must not matter.
inline PairBatch small_batch(const std::vector<int64_t>& tokens, const std::vector<int64_t>& regions,
                             int64_t width = 10, uint64_t seed = 7) {
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const auto pairs = static_cast<int64_t>(tokens.size());
  const int64_t longest = *std::max_element(tokens.begin(), tokens.end());
  const int64_t most = *std::max_element(regions.begin(), regions.end());
  PairBatch batch;
  batch.token_ids = at::randint(0, 50, {pairs, longest}, generator, at::kLong);
  batch.region_features = at::randn({pairs, most, width}, generator);
  batch.region_locations = at::rand({pairs, most, 5}, generator);
  batch.text_mask = at::arange(longest).lt(at::tensor(tokens).unsqueeze(1));
  batch.region_mask = at::arange(most).lt(at::tensor(regions).unsqueeze(1));
  batch.text_padded = !batch.text_mask.all().item<bool>();
  batch.regions_padded = !batch.region_mask.all().item<bool>();
  return batch;
}

/// Sample `index` of a batch, alone and without its padding.
inline PairBatch alone(const PairBatch& batch, int64_t index, int64_t tokens, int64_t regions) {
  const auto cut = [&](const at::Tensor& tensor, int64_t length) {
    return tensor.narrow(0, index, 1).narrow(1, 0, length).contiguous();
  };
  return {.token_ids = cut(batch.token_ids, tokens),
          .text_mask = cut(batch.text_mask, tokens),
          .region_features = cut(batch.region_features, regions),
          .region_locations = cut(batch.region_locations, regions),
          .region_mask = cut(batch.region_mask, regions),
          .text_padded = false,
          .regions_padded = false};
}

inline void expect_near(const at::Tensor& actual, const at::Tensor& expected, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  if (actual.numel() == 0) return;
  EXPECT_TRUE(actual.isfinite().all().item<bool>()) << what;
  EXPECT_LE((actual.detach() - expected.detach()).abs().max().item<double>(), tolerance) << what;
}

}  // namespace capture
