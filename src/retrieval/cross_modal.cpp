#include "capture/retrieval/cross_modal.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "capture/retrieval/recipe.h"
#include "capture/retrieval/search.h"

namespace capture {

namespace {

std::vector<int64_t> places_of_own(const at::Tensor& queries, const at::Tensor& items,
                                   std::span<const std::string_view> ids, int64_t depth) {
  const auto found = exact_search(queries, items, ids, {.depth = depth});
  std::vector<int64_t> places;
  for (size_t q = 0; q < found.size(); ++q) {
    const auto own = std::ranges::find(found[q], static_cast<int32_t>(q), &Match::item);
    places.push_back(own == found[q].end() ? depth : own - found[q].begin());
  }
  return places;
}

}  // namespace

OwnPlaces own_places(const PairEmbeddings& pairs, std::span<const std::string_view> ids, int64_t depth) {
  const at::Tensor titles = unit_rows(pairs.text_projection), photos = unit_rows(pairs.region_projection);
  return {.title_to_photo = places_of_own(titles, photos, ids, depth),
          .photo_to_title = places_of_own(photos, titles, ids, depth)};
}

double recall_at(std::span<const int64_t> places, int64_t k) {
  const auto found = std::ranges::count_if(places, [&](int64_t place) { return place < k; });
  return static_cast<double>(found) / static_cast<double>(places.size());
}

}  // namespace capture
