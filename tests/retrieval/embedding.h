// A small model, a dataset and a tokenizer for tests that embed.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "capture/retrieval/embedder.h"
#include "data/letters.h"
#include "data/support.h"

namespace capture {

inline HybridStreamModelOptions small_model(int64_t feature_width) {
  HybridStreamModelOptions options;
  options.width = 16;
  options.projection_width = 8;
  options.vocabulary_size = Letters().vocabulary_size();
  options.feature_width = feature_width;
  options.text = {.layers = 1, .heads = 2, .feed_forward = 32};
  options.image = {.layers = 1, .heads = 2, .feed_forward = 32};
  options.cross = {.layers = 1, .heads = 2, .width = 16};
  options.co_transformer = {.layers = 1, .heads = 2, .positions = 64};
  return options;
}

inline constexpr std::array kEmbeddings = {&PairEmbeddings::text_projection, &PairEmbeddings::region_projection,
                                           &PairEmbeddings::text_pooled, &PairEmbeddings::region_pooled};

inline void expect_near(const PairEmbeddings& a, const PairEmbeddings& b, double tolerance) {
  for (const auto member : kEmbeddings) {
    EXPECT_LE((a.*member - b.*member).abs().max().item<double>(), tolerance);
    EXPECT_EQ((a.*member).scalar_type(), at::kFloat);
  }
}

/// 23 samples in one shard.
class EmbedderTest : public testing::Test {
 protected:
  EmbedderTest() : data_(written()) {}

  std::filesystem::path written() {
    write_samples(folder_ / "small.capshard", small_layout(), 23);
    return folder_ / "small.capshard";
  }

  PairEmbeddings embedded(EmbedderOptions options) { return embed(model_, at::kCPU, data_, letters_, options); }

  TemporaryFolder folder_;
  Dataset data_;
  Letters letters_;
  HybridStreamModel model_{small_model(small_layout().feature_width), 5};
};

}  // namespace capture
