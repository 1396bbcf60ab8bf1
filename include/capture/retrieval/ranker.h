// Vectors → rankings, and the rankings that chance would give.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "capture/retrieval/rankings.h"
#include "capture/retrieval/search.h"

namespace capture {

/// Ranks the gallery for every query of the ground truth. Row i of `queries` and of `gallery` belongs to query i and
/// item i. Rankings carry their scores.
Rankings rank(const at::Tensor& queries, const at::Tensor& gallery, const GroundTruth& truth,
              const SearchOptions& options);

/// `depth` different gallery items for every query, each order as likely as any other; a function of the seed alone.
Rankings rank_by_chance(const GroundTruth& truth, int64_t depth, uint64_t seed);

}  // namespace capture
