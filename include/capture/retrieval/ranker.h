// Vectors → rankings, and the rankings that chance would give.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capture/retrieval/rankings.h"
#include "capture/retrieval/search.h"

namespace capture {

/// The ids of the gallery's items, in their order; they live as long as the ground truth.
std::vector<std::string_view> item_ids(const GroundTruth& truth);

/// One ranking a query, still empty.
Rankings unranked(const GroundTruth& truth, std::string name);

/// Ranks the gallery for every query of the ground truth. Row i of `queries` and of `gallery` belongs to query i and
/// item i. Rankings carry their scores.
Rankings rank(const at::Tensor& queries, const at::Tensor& gallery, const GroundTruth& truth,
              const SearchOptions& options);

/// `depth` different gallery items for every query, each order as likely as any other; a function of the seed alone.
Rankings rank_by_chance(const GroundTruth& truth, int64_t depth, uint64_t seed);

}  // namespace capture
