// Batches that always lie in the same memory, in few shapes: what recorded work reads.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

#include "capture/data/batch.h"
#include "capture/train/config.h"

namespace capture {

/// All that decides which operations a step makes of a batch.
struct BatchShape {
  int64_t pairs = 0;
  int64_t tokens = 0;   ///< of the longest title
  int64_t regions = 0;  ///< of the pair with most, the global one counted
  bool text_padded = false;
  bool regions_padded = false;

  auto operator<=>(const BatchShape&) const = default;
};

/// A batch in a shape: views of memory that all shapes share.
struct PlacedBatch {
  PairBatch inputs;
  MaskedTargets targets;
};

class StaticBatch {
 public:
  /// For batches of up to loader.batch_size pairs, loader.max_tokens tokens and `max_regions` regions (without the
  /// global one), masked as config.masking says. `like`: what the data has of a pair.
  StaticBatch(const TrainConfig& config, int64_t max_regions, at::Device device, const Batch& like);

  /// The shape that the batch is filled up to: titles and regions to a multiple of eight or the longest there can be.
  /// Nothing where more is masked than this shape has rows for, which in a thousand million batches is hardly one.
  std::optional<BatchShape> shape_of(const Batch& batch) const;

  PlacedBatch in_shape(const BatchShape& shape) const;

  /// Copies the batch there, filled up: with padding, and behind the masked rows with rows that count nothing.
  static void fill(const PlacedBatch& place, const Batch& batch);

 private:
  int64_t token_rows(const BatchShape& shape) const;
  int64_t region_rows(const BatchShape& shape) const;

  BatchShape most_;
  double token_probability_;
  double region_probability_;
  PlacedBatch memory_;  // in the largest shape
};

}  // namespace capture
