// How well titles find their own photos, and photos their own titles: the task of the contrastive objective, without
// any label.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "capture/model/hybrid_stream.h"

namespace capture {

/// For each of N pairs, the place of its other half among all N, from 0; `depth` when it is not among so many best.
/// Ties stand in byte order of the ids, so that of equal titles one alone comes first.
struct OwnPlaces {
  std::vector<int64_t> title_to_photo;
  std::vector<int64_t> photo_to_title;
};

/// From the projections before fusion, at length 1; after fusion each side has seen the other.
OwnPlaces own_places(const PairEmbeddings& pairs, std::span<const std::string_view> ids, int64_t depth);

/// Recall@K: the share of places below K. There must be some.
double recall_at(std::span<const int64_t> places, int64_t k);

}  // namespace capture
