#include "capture/retrieval/ranker.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

#include "capture/tensor/random.h"

namespace capture {

namespace {

/// Separates these streams from those of masks and sampling.
constexpr uint32_t kChancePurpose = 0x6368616e;

}  // namespace

std::vector<std::string_view> item_ids(const GroundTruth& truth) {
  std::vector<std::string_view> ids;
  for (int32_t item = 0; item < truth.gallery_size(); ++item) ids.push_back(truth.item_id(item));
  return ids;
}

Rankings unranked(const GroundTruth& truth, std::string name) {
  Rankings rankings;
  rankings.name = std::move(name);
  for (size_t q = 0; q < truth.queries().size(); ++q) {
    Ranking ranking;
    ranking.query_id = truth.queries()[q].id;
    ranking.query = static_cast<int32_t>(q);
    ranking.line = static_cast<int64_t>(q) + 1;
    rankings.lines.push_back(std::move(ranking));
  }
  return rankings;
}

Rankings rank(const at::Tensor& queries, const at::Tensor& gallery, const GroundTruth& truth,
              const SearchOptions& options) {
  TORCH_CHECK(queries.size(0) == static_cast<int64_t>(truth.queries().size()), "rank: one row a query");
  Rankings rankings = unranked(truth, "the rankings");
  const auto found = exact_search(queries, gallery, item_ids(truth), options);
  for (size_t q = 0; q < found.size(); ++q) {
    for (const Match& match : found[q]) {
      rankings.lines[q].items.push_back(match.item);
      rankings.lines[q].scores.push_back(match.score);
    }
  }
  return rankings;
}

Rankings rank_by_chance(const GroundTruth& truth, int64_t depth, uint64_t seed) {
  Rankings rankings = unranked(truth, "rankings by chance");
  std::vector<int32_t> items(static_cast<size_t>(truth.gallery_size()));
  std::iota(items.begin(), items.end(), 0);
  const size_t kept = std::min(items.size(), static_cast<size_t>(depth));
  for (Ranking& ranking : rankings.lines) {
    RandomStream random(seed, 0, static_cast<uint64_t>(ranking.query), kChancePurpose);
    // The start of a Fisher-Yates shuffle; where the items stood before makes no order more likely.
    for (size_t i = 0; i < kept; ++i) {
      std::swap(items[i], items[i + random.below(static_cast<uint32_t>(items.size() - i))]);
    }
    ranking.items.assign(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(kept));
  }
  return rankings;
}

}  // namespace capture
