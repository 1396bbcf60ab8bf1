// A gallery cut into tiles that fit a processor's cache, prepared as they are needed or once for many searches.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "prepared.h"
#include "rows.h"

namespace capture {

class TiledGallery {
 public:
  /// `tile` items a tile, or with 0 as many as fit. All that is given must outlive this.
  TiledGallery(const Preparation& preparation, const FloatRows& rows, std::span<const std::string_view> ids,
               int64_t tile);

  const Preparation& preparation() const { return preparation_; }
  const FloatRows& rows() const { return rows_; }
  std::span<const std::string_view> ids() const { return ids_; }

  int64_t tiles() const { return (rows_.count() + tile_ - 1) / tile_; }
  int64_t begin(int64_t tile) const { return tile * tile_; }
  int64_t end(int64_t tile) const { return std::min(rows_.count(), (tile + 1) * tile_); }

  /// Prepares every tile and keeps it. UserError when a row is not finite.
  void prepare_all();

  /// The tile, in `memory` unless it was kept; null when one of its rows is not finite. Many threads may each ask for
  /// another tile.
  const PreparedItems* prepared(int64_t tile, PreparedItems& memory, at::Tensor& buffer);

  /// Of every item whose tile has been prepared.
  std::span<const ItemTerms> terms() const { return terms_; }

  /// UserError that names the first row found not to be finite, if there was one.
  void check_finite() const;

 private:
  const Preparation& preparation_;
  const FloatRows& rows_;
  std::span<const std::string_view> ids_;
  int64_t tile_;
  std::vector<ItemTerms> terms_;
  std::vector<PreparedItems> kept_;
  std::atomic<int64_t> bad_row_;
};

}  // namespace capture
