// Search with LibTorch's operations, for vectors on a GPU: it keeps, of every query, so many of the highest fast scores
// that the error of none of the others could lift it among the best.
#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "capture/retrieval/search.h"
#include "capture/tensor/runtime.h"
#include "passes.h"
#include "rows.h"
#include "shortlist.h"

namespace capture {

namespace {

constexpr int64_t kQueryTile = 1024;
constexpr int64_t kGalleryTile = 1 << 15;
/// Kept beyond the depth at first; four times as much whenever it was too little.
constexpr int64_t kReserve = 28;
/// Sums below this are far from float32's largest number.
constexpr double kHuge = 1e36;

/// How far the fast product may stray from the exact score, relative to the vectors' lengths: each of its E additions
/// and multiplications rounds once, in whatever order, and what stands around it a few times more. Where the process
/// lets products run in less than float32, their inputs' rounding comes first.
double relative_error(int64_t width, c10::DeviceType device) {
  const double rounding = (1.01 * static_cast<double>(width) + 16) * 0x1p-24;
  return float32_products_round(device) ? rounding + 0x1p-7 : rounding;
}

void check_finite(const at::Tensor& vectors, const char* what, std::span<const std::string_view> ids) {
  for (int64_t begin = 0; begin < vectors.size(0); begin += kGalleryTile) {
    const at::Tensor bad =
        vectors.slice(0, begin, begin + kGalleryTile).isfinite().all(1).logical_not().nonzero().cpu();
    if (bad.size(0) == 0) continue;
    const int64_t row = begin + bad.const_data_ptr<int64_t>()[0];
    std::string name = std::string(what) + " " + std::to_string(row);
    if (!ids.empty()) name += " ('" + std::string(ids[static_cast<size_t>(row)]) + "')";
    throw_not_finite(name);
  }
}

/// Each row's length, in double: [N].
at::Tensor lengths(const at::Tensor& vectors) {
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < vectors.size(0); begin += kGalleryTile) {
    parts.push_back(vectors.slice(0, begin, begin + kGalleryTile).to(at::kDouble).norm(2, 1));
  }
  return at::cat(parts);
}

/// The `count` highest fast scores of every query, best first, and their items.
struct Highest {
  at::Tensor scores;  // [Q, count]
  at::Tensor items;   // [Q, count]
};

Highest highest_scores(const at::Tensor& queries, const at::Tensor& gallery, int64_t count) {
  Highest best;
  for (int64_t begin = 0; begin < gallery.size(0); begin += kGalleryTile) {
    const at::Tensor items = gallery.slice(0, begin, begin + kGalleryTile).to(at::kFloat);
    const at::Tensor scores = at::mm(queries, items.t());
    auto [values, places] = scores.topk(std::min(count, scores.size(1)), 1);
    places += begin;
    if (begin > 0) {
      values = at::cat({best.scores, values}, 1);
      places = at::cat({best.items, places}, 1);
      const auto [kept, chosen] = values.topk(std::min(count, values.size(1)), 1);
      values = kept;
      places = places.gather(1, chosen);
    }
    best = {values, places};
  }
  return best;
}

/// Adds to each query's list all that can be among its best; `errors` [Q] says how wrong fast scores can be.
void list_candidates(const at::Tensor& queries, const at::Tensor& errors, const at::Tensor& gallery, int64_t depth,
                     std::span<Shortlist> lists) {
  at::Tensor pending = at::arange(queries.size(0), queries.options().dtype(at::kLong));
  for (int64_t count = depth + kReserve; pending.size(0) > 0; count *= 4) {
    count = std::min(count, gallery.size(0));
    const auto [scores, items] = highest_scores(queries.index_select(0, pending), gallery, count);
    const at::Tensor least = scores.select(1, depth - 1) - 2 * errors.index_select(0, pending);
    const at::Tensor done = count == gallery.size(0) ? at::ones_like(least, at::kBool) : scores.select(1, -1) < least;
    const at::Tensor kept = ((scores >= least.unsqueeze(1)) & done.unsqueeze(1)).nonzero();
    const at::Tensor rows = pending.index_select(0, kept.select(1, 0)).cpu();
    const at::Tensor chosen = items.index({kept.select(1, 0), kept.select(1, 1)}).cpu();
    for (int64_t i = 0; i < rows.size(0); ++i) {
      const int64_t item = chosen.const_data_ptr<int64_t>()[i];
      lists[static_cast<size_t>(rows.const_data_ptr<int64_t>()[i])].add({static_cast<int32_t>(item), 0});
    }
    pending = pending.index_select(0, done.logical_not().nonzero().select(1, 0));
  }
}

}  // namespace

std::vector<std::vector<Match>> search_with_tensors(const at::Tensor& queries, const at::Tensor& gallery,
                                                    std::span<const std::string_view> ids, int64_t depth) {
  depth = std::min(depth, gallery.size(0));
  if (depth == 0 || queries.size(0) == 0) return std::vector<std::vector<Match>>(static_cast<size_t>(queries.size(0)));
  check_finite(queries, "query", {});
  check_finite(gallery, "gallery item", ids);
  const at::Tensor query_lengths = lengths(queries);
  const auto longest = lengths(gallery).max().item<double>();
  if (query_lengths.max().item<double>() * longest > kHuge) {
    return exact_search(queries.cpu(), gallery.cpu(), ids, {.depth = depth});
  }
  const double relative = relative_error(queries.size(1), queries.device().type());
  const at::Tensor errors = (query_lengths * (longest * relative)).to(at::kFloat);
  const FloatRows gallery_rows(gallery);
  std::vector<std::vector<Match>> results;
  for (int64_t begin = 0; begin < queries.size(0); begin += kQueryTile) {
    const at::Tensor tile = queries.slice(0, begin, begin + kQueryTile).to(at::kFloat);
    std::vector<Shortlist> lists(static_cast<size_t>(tile.size(0)));
    list_candidates(tile, errors.slice(0, begin, begin + kQueryTile), gallery, depth, lists);
    const at::Tensor on_processor = tile.cpu().contiguous();
    score_exactly(on_processor.const_data_ptr<float>(), gallery_rows, lists);
    for (Shortlist& list : lists) results.push_back(list.take({ids}, static_cast<size_t>(depth)));
  }
  return results;
}

}  // namespace capture
