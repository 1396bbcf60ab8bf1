#include "tile_product.h"

#if defined(__x86_64__) && defined(__linux__)

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "panel_vectors.h"

namespace capture::kernels {

namespace {

/// Programs must ask Linux for room for the tiles before they first use them.
bool allowed() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool has_tiles() {
  static const bool found =
      has_panel_product() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && allowed();
  return found;
}

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16,amx-tile,amx-bf16")

namespace {

/// What a thread must tell the processor before it uses tiles: eight of 16 rows of 64 bytes.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// The compiler does not know that tiles read and write memory.
inline void memory_fence() {
  asm volatile("" ::: "memory");
}

/// Up to 32 rows by the 32 columns of a panel. Tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 columns.
template <bool kBoth>
void sums_of(const uint32_t* rows, const uint32_t* columns, int64_t words, float* sums, Prefetch& prefetch,
             int64_t lines) {
  constexpr int64_t kLine = kTileColumns * sizeof(float);
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kBoth) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (; words > 0; words -= kTileWords) {
    _tile_loadd(6, columns, kLine);
    _tile_loadd(4, rows, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, columns + 16, kLine);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kBoth) {
      _tile_loadd(5, rows + 16 * kTileWords, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    for (int64_t line = 0; line < lines; ++line) prefetch.line();
    rows += kTileRows * kTileWords;
    columns += kTileColumns * kTileWords;
  }
  _tile_stored(0, sums, kLine);
  _tile_stored(1, sums + 16, kLine);
  if constexpr (kBoth) {
    _tile_stored(2, sums + 16 * kTileColumns, kLine);
    _tile_stored(3, sums + 16 * kTileColumns + 16, kLine);
  }
}

void put_sums(const PanelProduct& product, const float* sums, int64_t row, int64_t count, int64_t column) {
  const Result& result = product.result;
  for (int64_t part = 0; part < 2; ++part) {
    const int64_t from = column + part * 16;
    const __mmask16 mask = first_of(product.columns.lines - from);
    if (mask == 0) continue;
    const Numbers bias = bias_at(result, from, mask);
    for (int64_t i = 0; i < count; ++i) {
      put(result, row + i, from, _mm512_load_ps(sums + i * kTileColumns + part * 16), bias, mask);
    }
  }
}

}  // namespace

void multiply_tiles(const PanelProduct& product, int64_t begin, int64_t end, int64_t first, int64_t last,
                    const uint32_t* row_panels, const uint32_t* column_panels, int64_t next) {
  const TileShapes shapes;
  memory_fence();
  _tile_loadconfig(&shapes);
  Prefetch prefetch(product.columns, product.depth, next * kTileColumns, (end - begin) * kTileColumns);
  const int64_t turns = (last - first) * (end - begin) * std::max<int64_t>(product.words() / kTileWords, 1);
  const int64_t lines = (prefetch.lines() + turns - 1) / std::max<int64_t>(turns, 1);
  alignas(64) float sums[kTileRows * kTileColumns];
  for (int64_t i = first; i < last; ++i) {
    const int64_t count = std::min(kTileRows, product.rows.lines - i * kTileRows);
    const auto run = count > 16 ? sums_of<true> : sums_of<false>;
    for (int64_t panel = begin; panel < end; ++panel) {
      memory_fence();
      run(row_panels + i * product.row_words(), column_panels + (panel - begin) * product.column_words(),
          product.words(), sums, prefetch, lines);
      memory_fence();
      put_sums(product, sums, i * kTileRows, count, panel * kTileColumns);
    }
  }
  _tile_release();
  if (product.result.passing) finish_stores();
}

#pragma GCC pop_options

}  // namespace capture::kernels

#else

namespace capture::kernels {

bool has_tiles() {
  return false;
}

void multiply_tiles(const PanelProduct&, int64_t, int64_t, int64_t, int64_t, const uint32_t*, const uint32_t*,
                    int64_t) {}

}  // namespace capture::kernels

#endif
