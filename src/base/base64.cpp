#include "capture/base/base64.h"

#include <array>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace capture {

namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint32_t kNoDigit = 64;

constexpr std::array<uint8_t, 256> kValues = [] {
  std::array<uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (size_t i = 0; i < kDigits.size(); ++i) values[static_cast<unsigned char>(kDigits[i])] = static_cast<uint8_t>(i);
  return values;
}();

uint32_t value_of(char c) {
  return kValues[static_cast<unsigned char>(c)];
}

/// Decodes whole groups of four digits. Returns how many characters it took: all of them, or up to the group that has
/// something else in it.
size_t plain_groups(std::string_view text, std::byte* out) {
  for (size_t at = 0; at < text.size(); at += 4) {
    const uint32_t a = value_of(text[at]);
    const uint32_t b = value_of(text[at + 1]);
    const uint32_t c = value_of(text[at + 2]);
    const uint32_t d = value_of(text[at + 3]);
    if (((a | b | c | d) & kNoDigit) != 0) return at;
    const uint32_t group = a << 18 | b << 12 | c << 6 | d;
    *out++ = static_cast<std::byte>(group >> 16);
    *out++ = static_cast<std::byte>(group >> 8);
    *out++ = static_cast<std::byte>(group);
  }
  return text.size();
}

#if defined(__x86_64__)

// The build targets any x86-64; this function alone is compiled for more, and runs only where the processor has it.
const bool kHasAvx2 = __builtin_cpu_supports("avx2");

/// Marks in `known` the characters from `first` to `last`, and puts into `add` what makes them their digits' values, of
/// which `value` is the first. Bytes past 127 are negative here and in no run.
__attribute__((target("avx2"))) inline void take_run(__m256i text, char first, char last, int value, __m256i& known,
                                                     __m256i& add) {
  const __m256i below = _mm256_set1_epi8(static_cast<char>(first - 1));
  const __m256i above = _mm256_set1_epi8(static_cast<char>(last + 1));
  const __m256i inside = _mm256_and_si256(_mm256_cmpgt_epi8(text, below), _mm256_cmpgt_epi8(above, text));
  known = _mm256_or_si256(known, inside);
  add = _mm256_or_si256(add, _mm256_and_si256(inside, _mm256_set1_epi8(static_cast<char>(value - first))));
}

/// plain_groups, 32 characters at a time; stops early before the last ones, and before anything that is no digit.
__attribute__((target("avx2"))) size_t fast_groups(std::string_view text, std::byte* out) {
  // The three bytes of each group, highest first, to the front of each half.
  const __m256i gather = _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1,  //
                                          2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
  // Each round takes 32 characters and writes 28 bytes, of which 24 count: the rest must have room too.
  constexpr size_t kStep = 32;
  size_t at = 0;
  for (; text.size() - at >= kStep + 8; at += kStep) {
    const __m256i part = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text.data() + at));
    __m256i known = _mm256_setzero_si256();
    __m256i add = _mm256_setzero_si256();
    take_run(part, 'A', 'Z', 0, known, add);
    take_run(part, 'a', 'z', 26, known, add);
    take_run(part, '0', '9', 52, known, add);
    take_run(part, '+', '+', 62, known, add);
    take_run(part, '/', '/', 63, known, add);
    if (_mm256_movemask_epi8(known) != -1) break;
    const __m256i values = _mm256_add_epi8(part, add);
    // Two digits to twelve bits, then two of those to twenty-four.
    const __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi16(0x0140));
    const __m256i groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    const __m256i bytes = _mm256_shuffle_epi8(groups, gather);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(bytes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 12), _mm256_extracti128_si256(bytes, 1));
    out += 24;
  }
  return at;
}

#else

constexpr bool kHasAvx2 = false;
constexpr auto fast_groups = plain_groups;

#endif

/// Where the four characters of the last group fail, counted from its start, or npos. `padding` of them are '='.
size_t last_group(std::string_view text, size_t padding, std::span<std::byte> out) {
  uint32_t group = 0;
  for (size_t i = 0; i < 4 - padding; ++i) {
    const uint32_t value = value_of(text[i]);
    if (value == kNoDigit) return i;
    group |= value << (18 - 6 * i);
  }
  for (size_t i = 0; i < 3 - padding; ++i) {
    out[i] = static_cast<std::byte>(group >> 16);
    group = group << 8 & 0xFFFFFF;
  }
  return group == 0 ? std::string_view::npos : 3 - padding;
}

size_t padding_of(std::string_view text) {
  if (!text.ends_with('=')) return 0;
  return text.ends_with("==") ? 2 : 1;
}

}  // namespace

std::string to_base64(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t taken = std::min<size_t>(3, bytes.size() - at);
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i) group = group << 8 | (i < taken ? std::to_integer<uint32_t>(bytes[at + i]) : 0);
    for (size_t i = 0; i < 4; ++i) text += i <= taken ? kDigits[group >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

std::optional<size_t> base64_bytes(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  return text.size() / 4 * 3 - padding_of(text);
}

size_t from_base64(std::string_view text, std::span<std::byte> out) {
  if (text.empty()) return std::string_view::npos;
  const size_t whole = text.size() - 4;  // the last group is looked at more closely
  size_t at = kHasAvx2 ? fast_groups(text.substr(0, whole), out.data()) : 0;
  at += plain_groups(text.substr(at, whole - at), out.data() + at / 4 * 3);
  const size_t padding = at == whole ? padding_of(text) : 0;
  // A group that was not taken holds the first wrong character.
  const size_t wrong = last_group(text.substr(at, 4), padding, out.subspan(at / 4 * 3));
  return wrong == std::string_view::npos ? wrong : at + wrong;
}

}  // namespace capture
