// One minibatch of image-title pairs as tensors: what a loader fills, a model reads and an objective is held against.
#pragma once

#include <ATen/core/Tensor.h>

namespace capture {

/// The inputs of B pairs, padded to T tokens and 1 + R regions. Region 0 is the global region: the mean of the valid
/// region features (after masking, where regions are masked), at location (0, 0, 1, 1, 1).
struct PairBatch {
  at::Tensor token_ids;  ///< [B, T] int64: [CLS] … [SEP], then padding
  at::Tensor text_mask;  ///< [B, T] bool, true where there is a token
  /// [B, 1 + R, D] float32, zero where padded. A loader may hand them over in float16, the global region zero: to()
  /// makes them float32 and fills it in.
  at::Tensor region_features;
  at::Tensor region_locations;  ///< [B, 1 + R, 5] float32: x1/w, y1/h, x2/w, y2/h, area/(w·h)
  at::Tensor region_mask;       ///< [B, 1 + R] bool, true where there is a region
  /// Known on the host, so that nobody asks the device: false when every entry of the mask is true.
  bool text_padded = true;
  bool regions_padded = true;

  int64_t size() const { return token_ids.size(0); }
};

/// The inputs of B pairs without padding, one pair's rows behind the other's: the values of a PairBatch where its masks
/// are true.
struct PackedBatch {
  at::Tensor token_ids;         ///< [sum of title lengths] int64: [CLS] … [SEP], [CLS] …
  at::Tensor text_starts;       ///< [B + 1] int32: pair b's tokens are rows text_starts[b] to text_starts[b + 1]
  at::Tensor region_features;   ///< [sum of 1 + regions, D], as in PairBatch
  at::Tensor region_locations;  ///< [sum of 1 + regions, 5] float32
  at::Tensor region_starts;     ///< [B + 1] int32
  int64_t max_tokens = 0;       ///< of one pair
  int64_t max_regions = 0;      ///< of one pair, the global one counted
  /// [B] int64, not negative and below 2^46: by which dropout tells the pairs of a step apart, whichever batch of
  /// whichever process each is in. Undefined: 0, 1, 2 …
  at::Tensor items = {};

  int64_t size() const { return text_starts.size(0) - 1; }
};

/// What was masked in a batch, and what had stood there. Rows index the flattened batch: b * T + t for tokens,
/// b * (1 + R) + r for regions (r >= 1: the global region is never predicted); of a PackedBatch, its rows.
struct MaskedTargets {
  at::Tensor token_rows;       ///< [M] int64
  at::Tensor token_ids;        ///< [M] int64: the token before masking
  at::Tensor region_rows;      ///< [K] int64
  at::Tensor region_features;  ///< [K, D] float32 (before to(), perhaps float16): the feature before masking
  at::Tensor region_classes;   ///< [K, C] float32 detector class probabilities; undefined when the data has none
  /// Where rows were filled up to a fixed number: how many there are in truth, 0-dimensional int64. The rows behind
  /// them count nothing; they are 0, and so are their targets, but for token_ids, which are kNoToken. Undefined: all
  /// count.
  at::Tensor token_count = {};
  at::Tensor region_count = {};

  static constexpr int64_t kNoToken = -100;  ///< what LibTorch's cross entropy leaves out
};

/// Copies to a device, from pinned memory without waiting.
PairBatch to(const PairBatch& batch, at::Device device);
PackedBatch to(const PackedBatch& batch, at::Device device);
MaskedTargets to(const MaskedTargets& targets, at::Device device);

/// The same pairs, padded with `pad_token` and zeros; and the targets with their rows in the padded batch.
PairBatch padded(const PackedBatch& batch, int64_t pad_token);
MaskedTargets padded(const MaskedTargets& targets, const PackedBatch& batch);

/// The other way round, on the CPU. Every pair's padding must stand behind what it has.
PackedBatch packed(const PairBatch& batch);
MaskedTargets packed(const MaskedTargets& targets, const PairBatch& batch);

}  // namespace capture
