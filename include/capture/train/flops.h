// The arithmetic that training needs, for throughput in flop/s and for the share of a machine's peak (MFU).
#pragma once

#include <cstdint>

#include "capture/data/batch.h"
#include "capture/model/options.h"
#include "capture/objectives/pretraining.h"

namespace capture {

/// What a batch asks of a model. Lengths are real ones: padding is no work, whether or not a program spends time on it.
struct BatchWork {
  int64_t pairs = 0;
  int64_t tokens = 0;          ///< sum of title lengths, [CLS] and [SEP] included
  int64_t regions = 0;         ///< sum of regions, the global ones included
  int64_t token_squares = 0;   ///< sum of squared title lengths: what attention within a text multiplies
  int64_t region_squares = 0;  ///< the same of regions
  int64_t token_regions = 0;   ///< sum of tokens × regions of a pair
  int64_t masked_tokens = 0;   ///< rows of the token head
  int64_t masked_regions = 0;  ///< rows of the region head
};

/// From the batch on the host; nothing waits for a device.
BatchWork work_of(const Batch& batch);

/// Floating-point operations of the forward pass: two for each multiplication and addition of a product, attention
/// included; everything that is no product (normalisation, activations, softmax, losses) is left out, as is usual.
/// Without masked objectives the model stops after its streams, whose last layers end with position 0; with them the
/// last joint block ends with the masked rows. Both are counted as they are computed.
double forward_flops(const HybridStreamModelOptions& model, const PretrainingObjectiveOptions& objective,
                     const BatchWork& work);

/// Of forward and backward: three times the forward pass (each product has a gradient on both sides), but twice for the
/// product that region features go into, which nobody asks the gradient of. Work that is done twice to save memory, and
/// the gradients that frozen weights do not need, change nothing here.
double training_flops(const HybridStreamModelOptions& model, const PretrainingObjectiveOptions& objective,
                      const BatchWork& work);

}  // namespace capture
