#include "utf8.h"

#include <array>
#include <cstring>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "capture/base/text_lines.h"

namespace capture {

namespace {

/// Whether a byte does not begin a code point.
bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

#ifdef __x86_64__

// What is wrong with two bytes that follow each other, one bit a kind. What a pair is not, one of three tables says: by
// the first byte's upper half, its lower half, or the second byte's upper half (after Keiser and Lemire, "Validating
// UTF-8 in less than one instruction per byte", 2021).
enum Wrong : uint8_t {
  kTooShort = 1 << 0,    ///< a code point's first byte, and then no continuation
  kTooLong = 1 << 1,     ///< a continuation after ASCII
  kOverlong3 = 1 << 2,   ///< three bytes for what takes two
  kTooLarge = 1 << 3,    ///< past U+10FFFF
  kSurrogate = 1 << 4,   ///< half of a UTF-16 pair
  kOverlong2 = 1 << 5,   ///< two bytes for what takes one
  kOverlong4 = 1 << 6,   ///< four bytes for what takes three; or past U+10FFFF with a first byte above F4
  kTwoContinue = 1 << 7  ///< two continuations: right in the second half of three bytes and more alone
};

/// Sixteen entries, one for each half of a byte.
template <class WrongOf>
constexpr std::array<uint8_t, 16> by_half(WrongOf wrong_of) {
  std::array<uint8_t, 16> values{};
  for (int half = 0; half < 16; ++half) values[static_cast<size_t>(half)] = static_cast<uint8_t>(wrong_of(half));
  return values;
}

alignas(16) constexpr auto kFirstUpper = by_half([](int half) {
  if (half < 0x8) return +kTooLong;
  if (half < 0xC) return +kTwoContinue;
  return half == 0xC   ? kTooShort | kOverlong2
         : half == 0xD ? +kTooShort
         : half == 0xE ? kTooShort | kOverlong3 | kSurrogate
                       : kTooShort | kTooLarge | kOverlong4;
});
alignas(16) constexpr auto kFirstLower = by_half([](int half) {
  const int any = kTooShort | kTooLong | kTwoContinue;
  return any | (half == 0 ? kOverlong2 | kOverlong3 | kOverlong4 : 0) | (half == 1 ? kOverlong2 : 0) |
         (half >= 4 ? kTooLarge : 0) | (half >= 5 ? kOverlong4 : 0) | (half == 0xD ? kSurrogate : 0);
});
alignas(16) constexpr auto kSecondUpper = by_half([](int half) {
  if (half < 0x8 || half >= 0xC) return +kTooShort;
  const int any = kTooLong | kOverlong2 | kTwoContinue;
  return any | (half < 0xA ? +kOverlong3 : +kSurrogate) | (half == 0x8 ? kOverlong4 : kTooLarge);
});

#define CAPTURE_AVX2 __attribute__((target("avx2")))

CAPTURE_AVX2 __m256i table(const std::array<uint8_t, 16>& values) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(values.data())));
}

CAPTURE_AVX2 __m256i upper_half(__m256i bytes) {
  return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F));
}

/// Nonzero where a byte does not fit those before it. `before` holds the 32 bytes before `bytes`.
CAPTURE_AVX2 __m256i wrong(__m256i before, __m256i bytes) {
  const __m256i joint = _mm256_permute2x128_si256(before, bytes, 0x21);
  const __m256i one_before = _mm256_alignr_epi8(bytes, joint, 15);
  const __m256i two_before = _mm256_alignr_epi8(bytes, joint, 14);
  const __m256i three_before = _mm256_alignr_epi8(bytes, joint, 13);
  const __m256i pairs = _mm256_and_si256(
      _mm256_and_si256(_mm256_shuffle_epi8(table(kFirstUpper), upper_half(one_before)),
                       _mm256_shuffle_epi8(table(kFirstLower), _mm256_and_si256(one_before, _mm256_set1_epi8(0x0F)))),
      _mm256_shuffle_epi8(table(kSecondUpper), upper_half(bytes)));
  // The third byte of three and more, and the fourth of four, must be the second of two continuations. Only bytes from
  // E0, and from F0, keep their upper bit.
  const __m256i third = _mm256_subs_epu8(two_before, _mm256_set1_epi8(static_cast<char>(0xE0 - 0x80)));
  const __m256i fourth = _mm256_subs_epu8(three_before, _mm256_set1_epi8(static_cast<char>(0xF0 - 0x80)));
  const __m256i must = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(static_cast<char>(0x80)));
  return _mm256_xor_si256(must, pairs);
}

/// How many bytes from the start are certainly whole, valid code points.
CAPTURE_AVX2 size_t valid_prefix_avx2(std::string_view text) {
  __m256i before = _mm256_setzero_si256();
  size_t i = 0;
  for (; text.size() - i >= 64; i += 64) {
    const auto* const at = reinterpret_cast<const __m256i*>(text.data() + i);
    const __m256i first = _mm256_loadu_si256(at), second = _mm256_loadu_si256(at + 1);
    // Nearly all of an id list is ASCII; what comes before it must only have come to an end.
    if (_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(before, first), second)) != 0) {
      const __m256i both = _mm256_or_si256(wrong(before, first), wrong(first, second));
      if (!_mm256_testz_si256(both, both)) break;
    }
    before = second;
  }
  // The last code point may go on behind the last block: it is left to be looked at again.
  for (size_t back = 0; back < 4 && i > 0; ++back) {
    if (!continues(text[--i])) break;
  }
  return i;
}

#endif

size_t valid_prefix([[maybe_unused]] std::string_view text) {
#ifdef __x86_64__
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return valid_prefix_avx2(text);
#endif
  return 0;
}

}  // namespace

DecodedUtf8 decode_utf8(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[i])); };
  const auto follows = [&](size_t i) { return i < text.size() && continues(text[i]); };
  const uint32_t first = at(0);
  if (first < 0x80) return {first, 1};
  if (first >= 0xC2 && first < 0xE0 && follows(1)) return {(first & 0x1F) << 6 | (at(1) & 0x3F), 2};
  if ((first & 0xF0) == 0xE0 && follows(1) && follows(2)) {
    const uint32_t code = (first & 0x0F) << 12 | (at(1) & 0x3F) << 6 | (at(2) & 0x3F);
    if (code >= 0x800 && (code < 0xD800 || code > 0xDFFF)) return {code, 3};
  }
  if ((first & 0xF8) == 0xF0 && follows(1) && follows(2) && follows(3)) {
    const uint32_t code = (first & 0x07) << 18 | (at(1) & 0x3F) << 12 | (at(2) & 0x3F) << 6 | (at(3) & 0x3F);
    if (code >= 0x10000 && code <= 0x10FFFF) return {code, 4};
  }
  return {};
}

size_t find_invalid_utf8(std::string_view text) {
  for (size_t i = valid_prefix(text); i < text.size();) {
    uint64_t eight = 0;
    if (text.size() - i >= sizeof eight) {
      std::memcpy(&eight, text.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    const size_t bytes = decode_utf8(text.substr(i)).bytes;
    if (bytes == 0) return i;
    i += bytes;
  }
  return std::string_view::npos;
}

}  // namespace capture
