#include "capture/retrieval/search.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <utility>

#include "capture/tensor/parallel.h"
#include "passes.h"
#include "prepared.h"
#include "shortlist.h"
#include "tiled_gallery.h"

namespace capture {

namespace {

/// For the queries of one pass, their shortlists included.
constexpr int64_t kPassBytes = int64_t{512} << 20;
/// Sums of products stay far from float32's largest number as long as the lengths' product stays below this; and so do
/// the vectors when rounded.
constexpr double kHuge = 1e36;

/// A float that many threads raise and none lowers.
class Floor {
 public:
  float get() const { return value_.load(std::memory_order_relaxed); }
  void raise(float to) {
    float now = get();
    while (now < to && !value_.compare_exchange_weak(now, to, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<float> value_ = -std::numeric_limits<float>::infinity();
};

/// The size at which a shortlist is gone through. The longer that is put off, the more there is to drop.
size_t crowd(size_t depth) {
  return 2 * depth + 128;
}

/// Some queries against the whole gallery. Threads take tile after tile of it, and keep shortlists of their own: what
/// they share are the floors alone.
class Pass {
 public:
  /// `first` is the number of the first query, for errors.
  Pass(TiledGallery& gallery, const float* queries, int64_t count, int64_t first, size_t depth)
      : gallery_(gallery),
        preparation_(gallery.preparation()),
        kernel_(preparation_.kernel),
        queries_(queries),
        count_(count),
        depth_(depth),
        prepared_(preparation_, queries, count, first),
        floors_(static_cast<size_t>(count)),
        threads_(static_cast<size_t>(at::get_num_threads()),
                 {PreparedItems(preparation_), {}, std::vector<Shortlist>(static_cast<size_t>(count))}) {}

  /// Scores the gallery. UserError when one of its rows is not finite.
  void run() {
    for_each_task(gallery_.tiles(),
                  [&](int64_t tile, int64_t t) { score_tile(threads_[static_cast<size_t>(t)], tile); });
    gallery_.check_finite();
  }

  /// Every query's best, after run().
  void take(std::vector<std::vector<Match>>& results) {
    std::vector<Shortlist>& lists = threads_.front().lists;
    for_each_task(count_, [&](int64_t q, int64_t) {
      const auto query = static_cast<size_t>(q);
      for (size_t t = 1; t < threads_.size(); ++t) lists[query].add(threads_[t].lists[query]);
      lists[query].narrow(judge(q), floors_[query].get());
    });
    score_exactly(queries_, gallery_.rows(), lists);
    const size_t before = results.size();
    results.resize(before + lists.size());
    for_each_task(count_, [&](int64_t q, int64_t) {
      const auto query = static_cast<size_t>(q);
      results[before + query] = lists[query].take({gallery_.ids()}, depth_);
    });
  }

 private:
  struct Thread {
    PreparedItems memory;
    at::Tensor rows;
    std::vector<Shortlist> lists;
  };

  std::span<const float> query(int64_t q) const {
    return {queries_ + q * gallery_.rows().width(), static_cast<size_t>(gallery_.rows().width())};
  }

  Judge judge(int64_t q) const {
    return {depth_, {gallery_.ids()}, gallery_.rows(), query(q), prepared_.terms(q), gallery_.terms()};
  }

  void score_tile(Thread& thread, int64_t tile) {
    const PreparedItems* const items = gallery_.prepared(tile, thread.memory, thread.rows);
    if (items == nullptr) return;
    const double longest = items->most().length + preparation_.item_middle_length;
    if (std::max({prepared_.longest(), longest, prepared_.longest() * longest}) < kHuge) {
      for (int64_t p = 0; p < prepared_.panels().count(); ++p) score_panel(thread, p, *items, tile);
    } else {
      score_huge(thread, tile);
    }
  }

  /// One panel of queries against the tile.
  void score_panel(Thread& thread, int64_t panel, const PreparedItems& items, int64_t tile) {
    alignas(64) float scores[kMostQueryLanes * kMostItemLanes];
    float bounds[kMostQueryLanes];
    const int64_t first = panel * kernel_.query_lanes;
    const int64_t queries = std::min(kernel_.query_lanes, count_ - first);
    for (int64_t l = 0; l < queries; ++l) bounds[l] = bound(first + l, items.most());
    for (int64_t p = 0; p < items.panels().count(); ++p) {
      kernel_.score(prepared_.panels().panel(panel), items.panels().panel(p), items.start(p), preparation_.words(),
                    scores);
      const int64_t item = gallery_.begin(tile) + p * kernel_.item_lanes, left = gallery_.end(tile) - item;
      const uint32_t present = left < kernel_.item_lanes ? (1U << left) - 1 : ~0U;
      for (int64_t l = 0; l < queries; ++l) {
        const float* const of_query = scores + l * kernel_.item_lanes;
        const uint32_t found = kernel_.reaching(of_query, bounds[l]) & present;
        if (found == 0) continue;
        note(thread, first + l, of_query, found, static_cast<int32_t>(item));
        bounds[l] = bound(first + l, items.most());
      }
    }
  }

  /// What a score of the kernel must reach for an item of a tile to matter.
  float bound(int64_t q, ItemTerms most) const {
    const QueryTerms& terms = prepared_.terms(q);
    return floors_[static_cast<size_t>(q)].get() - terms.offset - terms.error(most);
  }

  void note(Thread& thread, int64_t q, const float* scores, uint32_t found, int32_t first_item) {
    Shortlist& list = thread.lists[static_cast<size_t>(q)];
    Floor& floor = floors_[static_cast<size_t>(q)];
    for (; found != 0; found &= found - 1) {
      const int lane = std::countr_zero(found);
      list.add({first_item + lane, scores[lane] + prepared_.terms(q).offset});
    }
    if (list.size() < crowd(depth_)) return;
    floor.raise(list.narrow(judge(q), floor.get()));
    // So many left that rounding cannot tell them apart: settle it now, while they are few enough to keep.
    if (2 * list.size() >= depth_ + crowd(depth_)) floor.raise(list.settle(judge(q), floor.get()));
  }

  /// Where sums could exceed float32, which exact scores may.
  void score_huge(Thread& thread, int64_t tile) {
    const int64_t begin = gallery_.begin(tile), end = gallery_.end(tile), width = gallery_.rows().width();
    const float* const rows = gallery_.rows().read(begin, end, thread.rows);
    for (int64_t q = 0; q < count_; ++q) {
      Shortlist& list = thread.lists[static_cast<size_t>(q)];
      Floor& floor = floors_[static_cast<size_t>(q)];
      for (int64_t i = begin; i < end; ++i) {
        const float score = exact_score(query(q), {rows + (i - begin) * width, static_cast<size_t>(width)});
        if (score < floor.get()) continue;
        list.add_exact({static_cast<int32_t>(i), score});
        if (list.size() >= crowd(depth_)) floor.raise(list.settle(judge(q), floor.get()));
      }
    }
  }

  TiledGallery& gallery_;
  const Preparation& preparation_;
  const ScoreKernel& kernel_;
  const float* queries_;
  int64_t count_;
  size_t depth_;
  PreparedQueries prepared_;
  std::vector<Floor> floors_;  // scores that `depth` items are known to reach, one a query
  std::vector<Thread> threads_;
};

/// Queries of one pass.
int64_t queries_that_fit(int64_t width, size_t depth) {
  const auto lists = static_cast<int64_t>(crowd(depth) * sizeof(Match)) * at::get_num_threads();
  return std::max<int64_t>(kMostQueryLanes, kPassBytes / (lists + width * int64_t{sizeof(float)}));
}

std::vector<std::vector<Match>> search_tiles(const FloatRows& queries, TiledGallery& gallery,
                                             const SearchOptions& options) {
  const auto depth = static_cast<size_t>(std::min(options.depth, gallery.rows().count()));
  const int64_t step = options.query_tile > 0 ? options.query_tile : queries_that_fit(queries.width(), depth);
  std::vector<std::vector<Match>> results;
  results.reserve(static_cast<size_t>(queries.count()));
  at::Tensor buffer;
  for (int64_t begin = 0; begin < queries.count(); begin += step) {
    const int64_t end = std::min(begin + step, queries.count());
    Pass pass(gallery, queries.read(begin, end, buffer), end - begin, begin, depth);
    pass.run();
    pass.take(results);
  }
  return results;
}

void check_shapes(const at::Tensor& queries, const at::Tensor& gallery, size_t ids) {
  TORCH_CHECK(queries.dim() == 2 && gallery.dim() == 2 && queries.size(1) == gallery.size(1), "search: shapes ",
              queries.sizes(), " and ", gallery.sizes());
  TORCH_CHECK(static_cast<int64_t>(ids) == gallery.size(0), "search: one id a gallery row");
}

}  // namespace

const ScoreKernel& search_kernel(const SearchOptions& options) {
  if (options.kernel != nullptr) return *options.kernel;
  const ScoreKernel* const bfloat16 = bfloat16_kernel();
  return options.precision == Precision::bfloat16 && bfloat16 != nullptr ? *bfloat16 : float32_kernel();
}

float exact_score(std::span<const float> query, std::span<const float> item) {
  return static_cast<float>(float32_kernel().dot(query.data(), item.data(), static_cast<int64_t>(query.size())));
}

std::vector<std::vector<Match>> exact_search(const at::Tensor& queries, const at::Tensor& gallery,
                                             std::span<const std::string_view> ids, const SearchOptions& options) {
  check_shapes(queries, gallery, ids.size());
  if (queries.size(0) == 0 || gallery.size(0) == 0) {
    return std::vector<std::vector<Match>>(static_cast<size_t>(queries.size(0)));
  }
  if (!queries.is_cpu()) return search_with_tensors(queries, gallery, ids, options.depth);
  const FloatRows query_rows(queries), gallery_rows(gallery);
  const Preparation preparation(search_kernel(options), query_rows, gallery_rows);
  TiledGallery tiles(preparation, gallery_rows, ids, options.gallery_tile);
  return search_tiles(query_rows, tiles, options);
}

/// The middle of the queries, which nobody knows yet, is taken to be the gallery's.
struct Searcher::State {
  State(const at::Tensor& rows, std::vector<std::string_view> their_ids, const SearchOptions& given)
      : options(given),
        ids(std::move(their_ids)),
        gallery(rows),
        preparation(search_kernel(given), gallery, gallery),
        tiles(preparation, gallery, ids, given.gallery_tile) {
    tiles.prepare_all();
  }

  SearchOptions options;
  std::vector<std::string_view> ids;
  FloatRows gallery;
  Preparation preparation;
  TiledGallery tiles;
};

Searcher::Searcher(const at::Tensor& gallery, std::vector<std::string_view> ids, const SearchOptions& options)
    : state_(std::make_unique<State>(gallery, std::move(ids), options)) {
  TORCH_CHECK(gallery.is_cpu() && gallery.dim() == 2 && static_cast<int64_t>(state_->ids.size()) == gallery.size(0),
              "search: a gallery of ", gallery.sizes(), " on the processor, and one id a row");
}

Searcher::~Searcher() = default;
Searcher::Searcher(Searcher&&) noexcept = default;
Searcher& Searcher::operator=(Searcher&&) noexcept = default;

std::vector<std::vector<Match>> Searcher::search(const at::Tensor& queries, int64_t depth) const {
  TORCH_CHECK(queries.dim() == 2 && queries.size(1) == state_->gallery.width(), "search: shape ", queries.sizes());
  if (state_->gallery.count() == 0) return std::vector<std::vector<Match>>(static_cast<size_t>(queries.size(0)));
  SearchOptions options = state_->options;
  options.depth = depth;
  return search_tiles(FloatRows(queries), state_->tiles, options);
}

}  // namespace capture
