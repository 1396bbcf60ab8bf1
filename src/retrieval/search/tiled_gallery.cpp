#include "tiled_gallery.h"

#include <ATen/ATen.h>

#include <string>

#include "capture/tensor/parallel.h"
#include "passes.h"

namespace capture {

namespace {

/// A tile stays in the cache next to a processor's core while all queries pass by, one panel at a time.
constexpr int64_t kTileBytes = 512 << 10;

int64_t items_that_fit(const Preparation& preparation) {
  const int64_t lanes = preparation.kernel.item_lanes;
  return std::max<int64_t>(1, kTileBytes / (4 * preparation.words() * lanes)) * lanes;
}

}  // namespace

TiledGallery::TiledGallery(const Preparation& preparation, const FloatRows& rows, std::span<const std::string_view> ids,
                           int64_t tile)
    : preparation_(preparation),
      rows_(rows),
      ids_(ids),
      tile_(tile > 0 ? tile : items_that_fit(preparation)),
      terms_(static_cast<size_t>(rows.count())),
      bad_row_(rows.count()) {}

void TiledGallery::prepare_all() {
  std::vector<PreparedItems> tiles(static_cast<size_t>(this->tiles()), PreparedItems(preparation_));
  for_each_task(this->tiles(), [&](int64_t i, int64_t) {
    at::Tensor buffer;
    prepared(i, tiles[static_cast<size_t>(i)], buffer);
  });
  check_finite();
  kept_ = std::move(tiles);
}

const PreparedItems* TiledGallery::prepared(int64_t tile, PreparedItems& memory, at::Tensor& buffer) {
  if (!kept_.empty()) return &kept_[static_cast<size_t>(tile)];
  const int64_t first = begin(tile);
  const float* const rows = rows_.read(first, end(tile), buffer);
  const int64_t bad = memory.prepare(rows, end(tile) - first, terms_.data() + first);
  if (bad < 0) return &memory;
  int64_t lowest = bad_row_.load();
  while (first + bad < lowest && !bad_row_.compare_exchange_weak(lowest, first + bad)) {
  }
  return nullptr;
}

void TiledGallery::check_finite() const {
  const int64_t row = bad_row_.load();
  if (row == rows_.count()) return;
  throw_not_finite("gallery item " + std::to_string(row) + " ('" + std::string(ids_[static_cast<size_t>(row)]) + "')");
}

}  // namespace capture
