#include "panel_layout.h"

#if defined(__x86_64__)

#include <algorithm>

#include "panel_vectors.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

namespace capture::kernels {
namespace {

/// Each number as bfloat16, in the lower half of a word.
inline Words rounded(Numbers numbers) {
  return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
}

/// One number a word.
template <Word kWord>
inline Words single(Numbers numbers) {
  return kWord == Word::rounded ? _mm512_slli_epi32(rounded(numbers), 16) : _mm512_castps_si512(numbers);
}

/// Each number of `low` as bfloat16 in the lower half of a word, with that of `high` in the upper half.
inline Words paired(Numbers low, Numbers high) {
  return _mm512_or_si512(rounded(low), _mm512_slli_epi32(rounded(high), 16));
}

/// Sixteen words of a line from number `at` on; `left` numbers of it are left there.
template <Word kWord, class Number>
inline Words words_along(const Number* line, int64_t left) {
  if constexpr (kWord != Word::pair) {
    return single<kWord>(load(line, first_of(left)));
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

/// Where a panel's words go, sixteen lines by sixteen words at a time.
class Blocks {
 public:
  Blocks(const PanelLayout& layout, uint32_t* words) : layout_(layout), words_(words) {}

  /// Words [word, word + 16) of lines [line, line + 16), line by line in `block`.
  void put_lines(int64_t line, int64_t word, Words (&block)[16]) const {
    if (layout_.order == Order::words) {
      transpose(block);
      return put_words(line, word, block);
    }
    uint32_t* const to = words_ + word * layout_.lines + line * 16;
    const __mmask16 kept = first_of(layout_.words - word);
    for (int64_t i = 0; i < std::min<int64_t>(16, layout_.lines - line); ++i) {
      _mm512_mask_storeu_epi32(to + i * 16, kept, block[i]);
    }
  }

  /// The same, word by word in `block`.
  void put_places(int64_t line, int64_t word, Words (&block)[16]) const {
    if (layout_.order == Order::tiles) {
      transpose(block);
      return put_lines(line, word, block);
    }
    put_words(line, word, block);
  }

 private:
  void put_words(int64_t line, int64_t word, const Words (&block)[16]) const {
    uint32_t* const to = words_ + word * layout_.lines + line;
    const __mmask16 kept = first_of(layout_.lines - line);
    for (int64_t i = 0; i < std::min<int64_t>(16, layout_.words - word); ++i) {
      _mm512_mask_storeu_epi32(to + i * layout_.lines, kept, block[i]);
    }
  }

  const PanelLayout& layout_;
  uint32_t* words_;
};

/// Lines that lie number by number in memory.
template <Word kWord, class Number>
void lay_out_lines(const PanelLayout& layout, const Factor& factor, int64_t first, int64_t depth, const Blocks& to) {
  constexpr int64_t kNumbers = kWord == Word::pair ? 2 : 1;  // of a word
  const auto* const data = static_cast<const Number*>(factor.data) + first * factor.stride;
  const int64_t lines = std::min(layout.lines, factor.lines - first);
  for (int64_t begin = 0; begin < layout.lines; begin += 16) {
    for (int64_t word = 0; word < layout.words; word += 16) {
      const int64_t at = word * kNumbers;
      Words block[16];
#pragma GCC unroll 16
      for (int64_t i = 0; i < 16; ++i) {
        const bool exists = begin + i < lines;
        block[i] = exists ? words_along<kWord>(data + (begin + i) * factor.stride + at, depth - at) : Words{};
      }
      to.put_lines(begin, word, block);
    }
  }
}

/// Lines whose numbers of one place lie side by side.
template <Word kWord, class Number>
void lay_out_places(const PanelLayout& layout, const Factor& factor, int64_t first, int64_t depth, const Blocks& to,
                    float* sums) {
  constexpr int64_t kNumbers = kWord == Word::pair ? 2 : 1;
  const auto* const data = static_cast<const Number*>(factor.data) + first;
  const int64_t lines = std::min(layout.lines, factor.lines - first);
  for (int64_t begin = 0; begin < layout.lines; begin += 16) {
    const __mmask16 mask = first_of(lines - begin);
    Numbers total = {};
    for (int64_t word = 0; word < layout.words; word += 16) {
      Words block[16];
#pragma GCC unroll 16
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t at = (word + i) * kNumbers;
        const Number* const place = data + at * factor.stride + begin;
        const Numbers low = at < depth ? load(place, mask) : Numbers{};
        total += low;
        if constexpr (kWord != Word::pair) {
          block[i] = single<kWord>(low);
        } else {
          const Numbers high = at + 1 < depth ? load(place + factor.stride, mask) : Numbers{};
          block[i] = paired(low, high);
          total += high;
        }
      }
      to.put_places(begin, word, block);
    }
    if (sums != nullptr) _mm512_mask_storeu_ps(sums + first + begin, mask, total);
  }
}

template <Word kWord, class Number>
void lay_out_numbers(const PanelLayout& layout, const Factor& factor, int64_t first, int64_t depth, const Blocks& to,
                     float* sums) {
  if (factor.line_wise) {
    lay_out_lines<kWord, Number>(layout, factor, first, depth, to);
  } else {
    lay_out_places<kWord, Number>(layout, factor, first, depth, to, sums);
  }
}

}  // namespace

#pragma GCC pop_options

void lay_out(const PanelLayout& layout, const Factor& factor, int64_t panel, int64_t depth, uint32_t* words,
             float* sums) {
  const int64_t first = panel * layout.lines;
  const Blocks to(layout, words);
  if (layout.word == Word::pair) {
    factor.bfloat16 ? lay_out_numbers<Word::pair, uint16_t>(layout, factor, first, depth, to, sums)
                    : lay_out_numbers<Word::pair, float>(layout, factor, first, depth, to, sums);
  } else if (factor.bfloat16) {  // rounded already
    lay_out_numbers<Word::number, uint16_t>(layout, factor, first, depth, to, sums);
  } else {
    layout.word == Word::rounded ? lay_out_numbers<Word::rounded, float>(layout, factor, first, depth, to, sums)
                                 : lay_out_numbers<Word::number, float>(layout, factor, first, depth, to, sums);
  }
}

}  // namespace capture::kernels

#endif
