#include "panel_product.h"

#include <algorithm>
#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "lanes.h"

// No header may be included below the pragma: what it defines would be compiled for processors that the running one may
// not be.

namespace capture::kernels {

namespace {

constexpr int64_t kRows = 14;     // lines of a row panel: with two registers of columns, 28 sums and what makes them
constexpr int64_t kColumns = 32;  // lines of a column panel

int64_t panels(int64_t lines, int64_t each) {
  return (lines + each - 1) / each;
}

}  // namespace

int64_t PanelProduct::row_panels() const {
  return panels(rows.lines, kRows);
}

int64_t PanelProduct::column_panels() const {
  return panels(columns.lines, kColumns);
}

int64_t PanelProduct::row_words() const {
  return kRows * words();
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
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16") &&
                            !__builtin_cpu_supports("amx-tile");
  return found;
}

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

namespace {

using Numbers = __m512;
using Words = __m512i;

/// The first `count` of sixteen, or fewer, or none.
__mmask16 first_of(int64_t count) {
  return static_cast<__mmask16>((1U << std::clamp<int64_t>(count, 0, 16)) - 1);
}

/// Numbers of a line or of a place as float32; those behind the mask are zero and not read.
inline Numbers load(const float* from, __mmask16 mask) {
  return _mm512_maskz_loadu_ps(mask, from);
}
inline Numbers load(const uint16_t* from, __mmask16 mask) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from)), 16));
}

/// Each number of `low` as bfloat16 in the lower half of a word, with that of `high` in the upper half.
inline Words paired(Numbers low, Numbers high) {
  const auto rounded = [](Numbers numbers) {
    return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
  };
  return _mm512_or_si512(rounded(low), _mm512_slli_epi32(rounded(high), 16));
}

/// Sixteen words of a line from number `at` on; `left` numbers of it are left there.
template <bool kHalf, class Number>
inline Words words_along(const Number* line, int64_t left) {
  if constexpr (!kHalf) {
    return _mm512_castps_si512(load(line, first_of(left)));
  } else {
    const Numbers low = load(line, first_of(left));
    const Numbers high = load(line + 16, first_of(left - 16));
    return reinterpret_cast<Words>(_mm512_cvtne2ps_pbh(high, low));
  }
}

/// 16 × 16 words.
inline void transpose(Words (&rows)[16]) {
  Words a[16], b[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    a[i] = _mm512_shuffle_i32x4(b[i], b[i + 4], 0x88);
    a[i + 4] = _mm512_shuffle_i32x4(b[i], b[i + 4], 0xdd);
    a[i + 8] = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0x88);
    a[i + 12] = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0xdd);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    rows[i] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0xdd);
  }
}

/// Lines of a panel that lie number by number in memory, sixteen at a time.
template <bool kHalf, class Number, int64_t kLines>
void lay_out_lines(const Factor& factor, int64_t first, int64_t depth, uint32_t* out) {
  constexpr int64_t kStep = kHalf ? 32 : 16;
  const auto* const data = static_cast<const Number*>(factor.data) + first * factor.stride;
  const int64_t lines = std::min(kLines, factor.lines - first);
  for (int64_t begin = 0; begin < kLines; begin += 16) {
    const __mmask16 kept = first_of(kLines - begin);
    for (int64_t at = 0; at < depth; at += kStep) {
      Words block[16];
#pragma GCC unroll 16
      for (int64_t i = 0; i < 16; ++i) {
        const bool exists = begin + i < lines;
        block[i] = exists ? words_along<kHalf>(data + (begin + i) * factor.stride + at, depth - at) : Words{};
      }
      transpose(block);
      const int64_t word = kHalf ? at / 2 : at;
      const int64_t words = std::min<int64_t>(16, (kHalf ? (depth + 1) / 2 : depth) - word);
      uint32_t* const to = out + word * kLines + begin;
      for (int64_t i = 0; i < words; ++i) _mm512_mask_storeu_epi32(to + i * kLines, kept, block[i]);
    }
  }
}

/// Lines of a panel whose numbers of one place lie side by side.
template <bool kHalf, class Number, int64_t kLines>
void lay_out_places(const Factor& factor, int64_t first, int64_t depth, uint32_t* out, float* sums) {
  const auto* const data = static_cast<const Number*>(factor.data) + first;
  const int64_t lines = std::min(kLines, factor.lines - first);
  const __mmask16 masks[2] = {first_of(lines), first_of(lines - 16)};
  const __mmask16 kept = first_of(kLines);
  Numbers totals[2] = {};
  for (int64_t at = 0; at < depth; at += kHalf ? 2 : 1) {
    const Number* const place = data + at * factor.stride;
    const bool more = at + 1 < depth;
#pragma GCC unroll 2
    for (int64_t part = 0; part * 16 < kLines; ++part) {
      const Numbers low = load(place + part * 16, masks[part]);
      Words words = _mm512_castps_si512(low);
      totals[part] += low;
      if constexpr (kHalf) {
        const Numbers high = more ? load(place + factor.stride + part * 16, masks[part]) : Numbers{};
        words = paired(low, high);
        totals[part] += high;
      }
      _mm512_mask_storeu_epi32(out + part * 16, kept, words);
    }
    out += kLines;
  }
  if (sums == nullptr) return;
  for (int64_t part = 0; part * 16 < kLines; ++part) {
    _mm512_mask_storeu_ps(sums + first + part * 16, masks[part], totals[part]);
  }
}

template <bool kHalf, class Number, int64_t kLines>
void lay_out_numbers(const Factor& factor, int64_t first, int64_t depth, uint32_t* out, float* sums) {
  if (factor.line_wise) {
    lay_out_lines<kHalf, Number, kLines>(factor, first, depth, out);
  } else {
    lay_out_places<kHalf, Number, kLines>(factor, first, depth, out, sums);
  }
}

template <int64_t kLines>
void lay_out_panel(const Factor& factor, bool half, int64_t first, int64_t depth, uint32_t* out, float* sums) {
  if (half) {
    factor.bfloat16 ? lay_out_numbers<true, uint16_t, kLines>(factor, first, depth, out, sums)
                    : lay_out_numbers<true, float, kLines>(factor, first, depth, out, sums);
  } else {
    factor.bfloat16 ? lay_out_numbers<false, uint16_t, kLines>(factor, first, depth, out, sums)
                    : lay_out_numbers<false, float, kLines>(factor, first, depth, out, sums);
  }
}

/// Brings the numbers of column panels into the second-level cache, a cache line a call.
class Prefetch {
 public:
  Prefetch(const Factor& factor, int64_t depth, int64_t first, int64_t count) {
    if (first >= factor.lines || factor.data == nullptr) return;
    const int64_t bytes = factor.bfloat16 ? 2 : 4;
    const int64_t lines = std::min(count, factor.lines - first);
    stride_ = factor.stride * bytes;
    run_ = (factor.line_wise ? depth : lines) * bytes;
    left_ = factor.line_wise ? lines : depth;
    at_ = static_cast<const char*>(factor.data) + first * (factor.line_wise ? stride_ : bytes);
  }

  void line() {
    if (left_ == 0) return;
    _mm_prefetch(at_ + inside_, _MM_HINT_T1);
    inside_ += 64;
    if (inside_ < run_) return;
    inside_ = 0;
    at_ += stride_;
    --left_;
  }

 private:
  const char* at_ = nullptr;  // a run of numbers side by side,
  int64_t run_ = 0;           // its bytes,
  int64_t inside_ = 0;        // those of it that are done,
  int64_t stride_ = 0;        // and bytes to the next
  int64_t left_ = 0;          // runs
};

struct Float32Step {
  static Numbers add(Numbers sum, uint32_t row, Words column) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(row))), _mm512_castsi512_ps(column),
                           sum);
  }
};

struct BFloat16Step {
  static Numbers add(Numbers sum, uint32_t row, Words column) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(row))),
                            reinterpret_cast<__m512bh>(column));
  }
};

/// x · Φ(x), Φ being the normal distribution. Its error function is formula 7.1.26 of Abramowitz and Stegun, "Handbook
/// of Mathematical Functions", off by 1.5e-7 at most.
inline Numbers gelu(Numbers x) {
  const Numbers z = _mm512_abs_ps(x) * 0.707106781F;
  const Numbers t = 1.0F / (1.0F + 0.3275911F * z);
  const Numbers series =
      ((((1.061405429F * t - 1.453152027F) * t + 1.421413741F) * t - 0.284496736F) * t + 0.254829592F) * t;
  const Numbers beyond = 0.5F * series * exponential(-z * z);  // how much of the distribution lies beyond |x|
  return x * (x < 0.0F ? beyond : 1.0F - beyond);
}

/// x / (1 + e⁻ˣ).
inline Numbers silu(Numbers x) {
  const Numbers power = exponential(-_mm512_abs_ps(x));
  return x * (x < 0.0F ? power : Numbers{} + 1.0F) / (1.0F + power);
}

inline Numbers finished(Finish finish, Numbers numbers) {
  switch (finish) {
    case Finish::gelu:
      return gelu(numbers);
    case Finish::silu:
      return silu(numbers);
    default:
      return numbers;
  }
}

/// Sixteen finished numbers of one row.
inline void put(const Result& result, int64_t row, int64_t column, Numbers sums, Numbers bias, __mmask16 mask) {
  const Numbers numbers = finished(result.finish, _mm512_fmadd_ps(sums, _mm512_set1_ps(result.scale), bias));
  const int64_t at = row * result.stride + column;
  if (result.bfloat16) {
    _mm256_mask_storeu_epi16(static_cast<uint16_t*>(result.data) + at, mask,
                             reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
    return;
  }
  auto* const to = static_cast<float*>(result.data) + at;
  if (result.passing && mask == 0xffff && reinterpret_cast<uintptr_t>(to) % 64 == 0) {
    _mm512_stream_ps(to, numbers);
  } else {
    _mm512_mask_storeu_ps(to, mask, numbers);
  }
}

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
    Numbers bias = {};
    if (result.bias != nullptr) bias = _mm512_maskz_loadu_ps(mask, result.bias + from) * result.bias_scale;
#pragma GCC unroll 16
    for (int64_t i = 0; i < kCount; ++i) put(result, row + i, from, sums[i][part], bias, mask);
  }
}

using Tile = void (*)(const PanelProduct&, const uint32_t*, const uint32_t*, int64_t, int64_t, Prefetch&);

/// Stores past the caches may be late; after this, they are not.
inline void finish_stores() {
  _mm_sfence();
}

/// By the number of rows.
template <class Step>
constexpr Tile kTiles[kRows + 1] = {nullptr,        tile<Step, 1>,  tile<Step, 2>,  tile<Step, 3>,  tile<Step, 4>,
                                    tile<Step, 5>,  tile<Step, 6>,  tile<Step, 7>,  tile<Step, 8>,  tile<Step, 9>,
                                    tile<Step, 10>, tile<Step, 11>, tile<Step, 12>, tile<Step, 13>, tile<Step, 14>};

}  // namespace

#pragma GCC pop_options

void PanelProduct::lay_out_rows(int64_t panel, uint32_t* words, float* sums) const {
  lay_out_panel<kRows>(rows, bfloat16, panel * kRows, depth, words, sums);
}

void PanelProduct::lay_out_columns(int64_t panel, uint32_t* words) const {
  lay_out_panel<kColumns>(columns, bfloat16, panel * kColumns, depth, words, nullptr);
}

void PanelProduct::multiply(int64_t begin, int64_t end, int64_t first, int64_t last, const uint32_t* row_panels,
                            const uint32_t* column_panels, int64_t next) const {
  Prefetch prefetch(columns, depth, next * kColumns, (end - begin) * kColumns);
  for (int64_t i = first; i < last; ++i) {
    const int64_t count = std::min(kRows, rows.lines - i * kRows);
    const Tile run = (bfloat16 ? kTiles<BFloat16Step> : kTiles<Float32Step>)[count];
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

void PanelProduct::lay_out_rows(int64_t, uint32_t*, float*) const {}

void PanelProduct::lay_out_columns(int64_t, uint32_t*) const {}

void PanelProduct::multiply(int64_t, int64_t, int64_t, int64_t, const uint32_t*, const uint32_t*, int64_t) const {}

#endif

}  // namespace capture::kernels
