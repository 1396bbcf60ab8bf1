// Random pairs in the shape of Product1M's, masked as in pretraining.
#pragma once

#include "capture/model/options.h"
#include "capture/tensor/pair_batch.h"

namespace capture {

/// How many tokens the titles have: all 36, or as many as Product1M's test titles (5 to 36, mean 27.7).
enum class TitleLengths { full, product1m };

struct SyntheticBatch {
  PairBatch inputs;
  MaskedTargets targets;
};

/// `pairs` pairs of up to 36 tokens and 36 regions with 15 % of both masked (at least one token and one region).
SyntheticBatch synthetic_batch(const HybridStreamModelOptions& options, int64_t pairs, TitleLengths lengths,
                               uint64_t seed);

}  // namespace capture
