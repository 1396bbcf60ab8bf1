// Random pairs in the shape of Product1M's, masked as in pretraining.
#pragma once

#include "capture/base/json.h"
#include "capture/model/options.h"
#include "capture/tensor/pair_batch.h"

namespace capture {

/// How many tokens the titles have: all 36, or as many as Product1M's test titles (5 to 36, mean 27.7).
enum class TitleLengths { full, product1m };

struct SyntheticBatch {
  PairBatch inputs;
  MaskedTargets targets;
};

/// `pairs` pairs of up to 36 tokens and 36 regions with 15 % of both masked (at least one token and one region): of the
/// tokens 80 % become [MASK] and 10 % any other, of the regions 90 % zeros. The draws, and their order, are those of a
/// few lines of PyTorch, so that a program in Python can be given the same batch to the bit: see the source.
SyntheticBatch synthetic_batch(const HybridStreamModelOptions& options, int64_t pairs, TitleLengths lengths,
                               uint64_t seed);

/// What a batch holds, to be held against another program's: counts, and exact sums of the inputs' numbers (of float32,
/// of their bits as int32).
Json description_of(const SyntheticBatch& batch);

}  // namespace capture
