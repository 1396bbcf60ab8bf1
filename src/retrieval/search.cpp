#include "capture/retrieval/search.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "capture/base/error.h"
#include "capture/tensor/runtime.h"

namespace capture {

namespace {

/// How far the fast product may stray from the true one, relative to the vectors' lengths: each of its E additions and
/// multiplications rounds once, in whatever order, and exact_score and these bounds a few times more. Where the process
/// lets products run in less than float32, their inputs' rounding comes first.
double relative_error(int64_t width, c10::DeviceType device) {
  const double rounding = static_cast<double>(width + 8) * 0x1p-24;
  return float32_products_round(device) ? rounding + 0x1p-7 : rounding;
}

/// The best `depth` items seen so far, when items come in the order that breaks ties: a later item wins only with a
/// higher score.
class Best {
 public:
  explicit Best(size_t depth) : depth_(depth) { matches_.reserve(depth); }

  bool full() const { return matches_.size() == depth_; }
  /// What an item must surpass.
  float threshold() const { return full() ? matches_.front().score : -std::numeric_limits<float>::infinity(); }

  void offer(Match match) {
    if (full()) {
      if (match.score <= matches_.front().score) return;
      std::ranges::pop_heap(matches_, better);
      matches_.pop_back();
    }
    matches_.push_back(match);
    std::ranges::push_heap(matches_, better);
  }

  /// Best first.
  std::vector<Match> take() {
    std::ranges::sort(matches_, better);
    return std::move(matches_);
  }

 private:
  static bool better(const Match& a, const Match& b) {
    return a.score != b.score ? a.score > b.score : a.item < b.item;
  }

  size_t depth_;
  std::vector<Match> matches_;  // a heap whose front is the worst
};

/// Rows on the processor, in float32.
struct Rows {
  explicit Rows(const at::Tensor& tensor) : values(tensor.to(at::kCPU, at::kFloat).contiguous()) {}
  std::span<const float> row(int64_t i) const {
    return {values.const_data_ptr<float>() + i * values.size(1), static_cast<size_t>(values.size(1))};
  }
  at::Tensor values;
};

/// A value that at least `depth` of the approximate scores reach, or minus infinity when there are fewer.
float reached_by(std::span<const float> scores, size_t depth) {
  if (scores.size() < depth) return -std::numeric_limits<float>::infinity();
  std::vector<float> copy(scores.begin(), scores.end());
  const auto place = copy.begin() + static_cast<std::ptrdiff_t>(depth - 1);
  std::nth_element(copy.begin(), place, copy.end(), std::greater<>());
  return *place;
}

/// Goes through one query's row of approximate scores and scores exactly whatever could still be among the best.
/// `offset` is the tile's first gallery row, `error` the most that an approximate score can be wrong by.
void scan(std::span<const float> query, std::span<const float> approximate, const Rows& tile, int32_t offset,
          float error, size_t depth, Best& best) {
  // Nothing is known before the first tile: its own approximate scores say what the best will at least reach.
  const float start =
      best.full() ? -std::numeric_limits<float>::infinity() : reached_by(approximate, depth) - 2 * error;
  for (size_t i = 0; i < approximate.size(); ++i) {
    if (approximate[i] < start || approximate[i] < best.threshold() - error) continue;
    best.offer({offset + static_cast<int32_t>(i), exact_score(query, tile.row(static_cast<int64_t>(i)))});
  }
}

void check_finite(const at::Tensor& vectors, const char* what, std::span<const std::string_view> ids) {
  const at::Tensor bad = vectors.isfinite().all(1).logical_not().nonzero();
  if (bad.size(0) == 0) return;
  const auto row = bad[0].item<int64_t>();
  std::string name = std::string(what) + " " + std::to_string(row);
  if (!ids.empty()) name += " ('" + std::string(ids[static_cast<size_t>(row)]) + "')";
  throw UserError({.what = "the embedding of " + name + " is not finite",
                   .hint = "the weights or the features hold NaN or infinite values"});
}

/// Gallery rows in byte order of their ids: within equal scores, the earlier row wins.
at::Tensor order_by_id(std::span<const std::string_view> ids) {
  at::Tensor order = at::arange(static_cast<int64_t>(ids.size()), at::kLong);
  const std::span rows(order.mutable_data_ptr<int64_t>(), ids.size());
  std::ranges::sort(rows, {}, [&](int64_t row) { return ids[static_cast<size_t>(row)]; });
  return order;
}

/// The best items of a tile of queries; items are numbered in the order of their ids.
std::vector<Best> search_tile(const at::Tensor& queries, const at::Tensor& gallery, const at::Tensor& order,
                              size_t depth, int64_t gallery_tile) {
  const Rows query_rows(queries);
  const at::Tensor query_lengths = queries.norm(2, 1) * relative_error(queries.size(1), queries.device().type());
  std::vector<Best> best(static_cast<size_t>(queries.size(0)), Best(depth));
  for (int64_t offset = 0; offset < gallery.size(0); offset += gallery_tile) {
    const at::Tensor chosen = order.slice(0, offset, offset + gallery_tile).to(gallery.device());
    const at::Tensor items = gallery.index_select(0, chosen).to(at::kFloat);
    const Rows item_rows(items);
    const Rows scores(at::mm(queries, items.t()));
    const Rows errors((query_lengths * items.norm(2, 1).max()).unsqueeze(1));
    at::parallel_for(0, queries.size(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t q = begin; q < end; ++q) {
        scan(query_rows.row(q), scores.row(q), item_rows, static_cast<int32_t>(offset), errors.row(q)[0], depth,
             best[static_cast<size_t>(q)]);
      }
    });
  }
  return best;
}

}  // namespace

void SearchOptions::visit(FieldVisitor& f) {
  f.field("depth", depth, "Gallery items kept a query.", {1, std::numeric_limits<int32_t>::max()});
  f.field("query_tile", query_tile, "Queries scored at once.", {1, 1 << 20});
  f.field("gallery_tile", gallery_tile, "Gallery items scored at once.", {1, 1 << 24});
}

// Compiled for several processors: a product of two float32 is exact in double, so that fused and separate additions,
// in this order, give the same sum on all of them.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
float exact_score(std::span<const float> query, std::span<const float> item) {
  constexpr size_t kLanes = 16;
  std::array<double, kLanes> lanes{};
  const size_t whole = query.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += static_cast<double>(query[i + lane]) * static_cast<double>(item[i + lane]);
    }
  }
  for (size_t i = whole; i < query.size(); ++i) {
    lanes[i - whole] += static_cast<double>(query[i]) * static_cast<double>(item[i]);
  }
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return static_cast<float>(lanes[0]);
}

std::vector<std::vector<Match>> exact_search(const at::Tensor& queries, const at::Tensor& gallery,
                                             std::span<const std::string_view> ids, const SearchOptions& options) {
  TORCH_CHECK(queries.dim() == 2 && gallery.dim() == 2 && queries.size(1) == gallery.size(1), "search: shapes ",
              queries.sizes(), " and ", gallery.sizes());
  TORCH_CHECK(static_cast<int64_t>(ids.size()) == gallery.size(0), "search: one id a gallery row");
  check_finite(queries, "query", {});
  check_finite(gallery, "gallery item", ids);
  const at::Tensor order = order_by_id(ids);
  const std::span rows(order.const_data_ptr<int64_t>(), ids.size());
  const auto depth = static_cast<size_t>(std::min(options.depth, gallery.size(0)));
  std::vector<std::vector<Match>> results;
  results.reserve(static_cast<size_t>(queries.size(0)));
  for (int64_t q = 0; q < queries.size(0); q += options.query_tile) {
    const at::Tensor tile = queries.slice(0, q, q + options.query_tile).to(at::kFloat);
    for (Best& best : search_tile(tile, gallery, order, depth, options.gallery_tile)) {
      results.push_back(best.take());
      for (Match& match : results.back()) match.item = static_cast<int32_t>(rows[static_cast<size_t>(match.item)]);
    }
  }
  return results;
}

}  // namespace capture
