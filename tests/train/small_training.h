// The configuration of a small model on the pairs of data/support.h, for tests that train one.
#pragma once

#include "capture/train/config.h"
#include "data/letters.h"
#include "data/support.h"

namespace capture {

/// Masks twice as much as usual, so that a batch of a few pairs has something of every kind.
inline TrainConfig small_training(int64_t width, int64_t layers) {
  TrainConfig config;
  config.model.width = width;
  config.model.projection_width = width / 2;
  config.model.vocabulary_size = Letters().vocabulary_size();
  config.model.feature_width = small_layout().feature_width;
  config.model.text_positions = 16;
  config.model.text = config.model.image = {.layers = layers, .heads = 2, .feed_forward = width};
  config.model.cross = {.layers = layers, .heads = 2, .width = width / 2};
  config.model.co_transformer = {.layers = layers, .heads = 2, .positions = 32, .first_region = 16};
  config.loader.max_tokens = 16;
  config.masking.token_probability = config.masking.region_probability = 0.3;
  return config;
}

}  // namespace capture
