// Exact search: the best gallery items of every query, in memory that does not grow with their product.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "capture/base/fields.h"

namespace capture {

struct SearchOptions {
  int64_t depth = 100;          ///< items kept a query; at most the whole gallery
  int64_t query_tile = 256;     ///< queries scored at once
  int64_t gallery_tile = 8192;  ///< gallery items scored at once: a tile of scores takes 4 bytes times both

  void visit(FieldVisitor& f);
};

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
/// of tiles decides which pairs can be among the best at all, and those alone are scored exactly, so the result equals
/// a naive search to the last place. UserError, naming the row, when a value is not finite.
std::vector<std::vector<Match>> exact_search(const at::Tensor& queries, const at::Tensor& gallery,
                                             std::span<const std::string_view> ids, const SearchOptions& options = {});

}  // namespace capture
