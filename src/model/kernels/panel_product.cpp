#include "panel_product.h"

#include <algorithm>

#include "capture/base/processors.h"
#include "panel_layout.h"
#include "panel_vectors.h"
#include "tile_product.h"

namespace capture::kernels {

namespace {

constexpr int64_t kRows = 14;     // lines of a row panel: with two registers of columns, 28 sums and what makes them
constexpr int64_t kColumns = 32;  // lines of a column panel

int64_t panels(int64_t lines, int64_t each) {
  return (lines + each - 1) / each;
}

}  // namespace

int64_t PanelProduct::words() const {
  const int64_t pairs = (depth + 1) / 2;
  if (multiplies(Halves::tiles)) return panels(pairs, kTileWords) * kTileWords;
  return multiplies(Halves::pairs) ? pairs : depth;
}

int64_t PanelProduct::row_lines() const {
  return multiplies(Halves::tiles) ? kTileRows : kRows;
}

int64_t PanelProduct::row_panels() const {
  return panels(rows.lines, row_lines());
}

int64_t PanelProduct::column_panels() const {
  return panels(columns.lines, kColumns);
}

int64_t PanelProduct::row_words() const {
  return row_lines() * words();
}

int64_t PanelProduct::column_words() const {
  return kColumns * words();
}

int64_t PanelProduct::column_groups(int64_t workers) const {
  constexpr int64_t kWords = 800 << 10;  // of a group at most: they come from the third-level cache fast enough
  constexpr int64_t kPanels = 8;         // more together save nothing
  constexpr int64_t kShares = 3;         // for each worker at least, so that none waits long for another
  const int64_t fit = std::clamp<int64_t>(kWords / std::max<int64_t>(column_words(), 1), 1, kPanels);
  const int64_t groups = std::max(panels(column_panels(), fit), kShares * workers);
  return std::min(panels(groups, workers) * workers, column_panels());
}

#if defined(__x86_64__)

bool has_panel_product() {
  static const bool found = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
  return found;
}

Halves fastest_halves() {
  static const Halves fastest = has_tiles() ? Halves::tiles : bfloat16_pairs_pay() ? Halves::pairs : Halves::widened;
  return fastest;
}

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

namespace {

struct Float32Step {
  static Numbers add(Numbers sum, uint32_t row, Words column) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(row))), _mm512_castsi512_ps(column),
                           sum);
  }
};

struct PairStep {
  static Numbers add(Numbers sum, uint32_t row, Words column) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(row))),
                            reinterpret_cast<__m512bh>(column));
  }
};

/// kCount rows from `row` on by the columns of a panel.
template <class Step, int64_t kCount>
void tile(const PanelProduct& product, const uint32_t* rows, const uint32_t* columns, int64_t row, int64_t column,
          Prefetch& prefetch) {
  Numbers sums[kCount][2] = {};
  for (int64_t words = product.words(); words > 0; words -= 4) {
    prefetch.line();
    for (int64_t word = std::min<int64_t>(words, 4); word > 0; --word) {
      const Words left = _mm512_load_si512(columns);
      const Words right = _mm512_load_si512(columns + 16);
#pragma GCC unroll 16
      for (int64_t i = 0; i < kCount; ++i) {
        sums[i][0] = Step::add(sums[i][0], rows[i], left);
        sums[i][1] = Step::add(sums[i][1], rows[i], right);
      }
      rows += kRows;
      columns += kColumns;
    }
  }
  const Result& result = product.result;
#pragma GCC unroll 2
  for (int64_t part = 0; part < 2; ++part) {
    const int64_t from = column + part * 16;
    const __mmask16 mask = first_of(product.columns.lines - from);
    if (mask == 0) continue;
    const Numbers bias = bias_at(result, from, mask);
#pragma GCC unroll 16
    for (int64_t i = 0; i < kCount; ++i) put(result, row + i, from, sums[i][part], bias, mask);
  }
}

using Tile = void (*)(const PanelProduct&, const uint32_t*, const uint32_t*, int64_t, int64_t, Prefetch&);

/// By the number of rows.
template <class Step>
constexpr Tile kTiles[kRows + 1] = {nullptr,        tile<Step, 1>,  tile<Step, 2>,  tile<Step, 3>,  tile<Step, 4>,
                                    tile<Step, 5>,  tile<Step, 6>,  tile<Step, 7>,  tile<Step, 8>,  tile<Step, 9>,
                                    tile<Step, 10>, tile<Step, 11>, tile<Step, 12>, tile<Step, 13>, tile<Step, 14>};

}  // namespace

#pragma GCC pop_options

Word PanelProduct::word() const {
  if (!bfloat16) return Word::number;
  return halves == Halves::widened ? Word::rounded : Word::pair;
}

void PanelProduct::lay_out_rows(int64_t panel, uint32_t* to, float* sums) const {
  const Order order = multiplies(Halves::tiles) ? Order::tiles : Order::words;
  lay_out({row_lines(), order, word(), words()}, rows, panel, depth, to, sums);
}

void PanelProduct::lay_out_columns(int64_t panel, uint32_t* to) const {
  lay_out({kColumns, Order::words, word(), words()}, columns, panel, depth, to, nullptr);
}

void PanelProduct::multiply(int64_t begin, int64_t end, int64_t first, int64_t last, const uint32_t* row_panels,
                            const uint32_t* column_panels, int64_t next) const {
  if (multiplies(Halves::tiles)) {
    return multiply_tiles(*this, begin, end, first, last, row_panels, column_panels, next);
  }
  Prefetch prefetch(columns, depth, next * kColumns, (end - begin) * kColumns);
  for (int64_t i = first; i < last; ++i) {
    const int64_t count = std::min(kRows, rows.lines - i * kRows);
    const Tile run = (multiplies(Halves::pairs) ? kTiles<PairStep> : kTiles<Float32Step>)[count];
    for (int64_t panel = begin; panel < end; ++panel) {
      run(*this, row_panels + i * row_words(), column_panels + (panel - begin) * column_words(), i * kRows,
          panel * kColumns, prefetch);
    }
  }
  if (result.passing) finish_stores();
}

#else

bool has_panel_product() {
  return false;
}

Halves fastest_halves() {
  return Halves::widened;
}

void PanelProduct::lay_out_rows(int64_t, uint32_t*, float*) const {}

void PanelProduct::lay_out_columns(int64_t, uint32_t*) const {}

void PanelProduct::multiply(int64_t, int64_t, int64_t, int64_t, const uint32_t*, const uint32_t*, int64_t) const {}

#endif

}  // namespace capture::kernels
