// Exact search: the best gallery items of every query, in memory that does not grow with their product.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "capture/retrieval/score_kernels.h"
#include "capture/tensor/device.h"

namespace capture {

struct SearchOptions {
  int64_t depth = 100;  ///< items kept a query; at most the whole gallery
  /// Of the fast product. The results are the same; where bfloat16 would save no time, float32 is taken.
  Precision precision = Precision::float32;
  int64_t query_tile = 0;               ///< queries searched in one pass over the gallery; 0: as many as memory allows
  int64_t gallery_tile = 0;             ///< gallery items that a thread scores at a time; 0: as many as its cache holds
  const ScoreKernel* kernel = nullptr;  ///< null: the fastest for the precision
};

/// What these options stand for on the running processor.
const ScoreKernel& search_kernel(const SearchOptions& options);

/// A found item.
struct Match {
  int32_t item;  ///< row of the gallery
  float score;
};

/// The score by which items are ranked: the dot product, accumulated in double in a fixed order and rounded to float32.
/// It is the same for the same two vectors whatever the tile, the thread or the processor.
float exact_score(std::span<const float> query, std::span<const float> item);

/// For each row of `queries` [Q, E], the `depth` rows of `gallery` [G, E] with the highest exact_score, best first;
/// equal scores stand in byte order of their `ids` (one a gallery row, all different), so that a constant scorer has no
/// luck.
///
/// Tensors may be of any floating type, on any one device; scores are those of their values as float32. A fast product
/// decides, within a bound on what its rounding can do, which pairs can be among the best at all, and those alone are
/// scored exactly, so the result equals a naive search to the last place. The gallery is read once for each query_tile
/// and never copied whole: it may be a memory map larger than memory. UserError, naming the row, when a value is not
/// finite.
std::vector<std::vector<Match>> exact_search(const at::Tensor& queries, const at::Tensor& gallery,
                                             std::span<const std::string_view> ids, const SearchOptions& options = {});

/// A gallery that is searched many times: everything that does not depend on the queries is done once. Finds what
/// exact_search finds. Takes as much memory again as the gallery in float32, or half of it with a bfloat16 kernel.
class Searcher {
 public:
  /// The gallery, on the processor, and the texts of its ids are used as long as this lives. UserError, naming the row,
  /// when a value is not finite.
  Searcher(const at::Tensor& gallery, std::vector<std::string_view> ids, const SearchOptions& options = {});
  ~Searcher();
  Searcher(Searcher&&) noexcept;
  Searcher& operator=(Searcher&&) noexcept;

  /// Any number of threads may search at once.
  std::vector<std::vector<Match>> search(const at::Tensor& queries, int64_t depth) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The same with LibTorch's operations as the fast part: what exact_search does for tensors on a GPU. Works on any
/// device.
std::vector<std::vector<Match>> search_with_tensors(const at::Tensor& queries, const at::Tensor& gallery,
                                                    std::span<const std::string_view> ids, int64_t depth);

}  // namespace capture
