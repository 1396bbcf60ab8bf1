#include "characters.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>

#include <algorithm>

namespace capture {

namespace {

constexpr int kCategoriesUntil = 8;      // Unicode versions of the reference's tables
constexpr int kDecompositionsUntil = 9;  //
constexpr int kLowerCaseUntil = 16;      //

/// The Unicode version that gave the character its meaning; 0 for an unassigned one.
int age(char32_t c) {
  UVersionInfo version;
  u_charAge(static_cast<UChar32>(c), version);
  return version[0];
}

/// General category as of Unicode 8.0.
int8_t category(char32_t c) {
  switch (c) {
    case 0x166D:  // Canadian syllabics chi sign and Sharada sandhi mark: a symbol and a mark today
    case 0x111C9:
      return U_OTHER_PUNCTUATION;
    case 0x1734:  // Hanunoo pamudpod: a spacing mark today
      return U_NON_SPACING_MARK;
    case 0x1885:  // Mongolian baludas, Javanese keret: non-spacing marks today
    case 0x1886:
      return U_OTHER_LETTER;
    case 0xA9BD:
      return U_COMBINING_SPACING_MARK;
    default:
      return age(c) > kCategoriesUntil ? int8_t{U_UNASSIGNED} : u_charType(static_cast<UChar32>(c));
  }
}

bool is_ideograph(char32_t c) {
  struct Block {
    char32_t first;
    char32_t last;
  };
  static constexpr Block kBlocks[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},  {0x20000, 0x2A6DF},
                                      {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return std::ranges::any_of(kBlocks, [c](const Block& block) { return c >= block.first && c <= block.last; });
}

bool is_ascii_sign(char32_t c) {
  return (c > 0x20 && c < 0x7F) && !u_isalnum(static_cast<UChar32>(c));
}

const UNormalizer2& nfd() {
  UErrorCode status = U_ZERO_ERROR;
  return *unorm2_getNFDInstance(&status);  // built into ICU: cannot fail
}

}  // namespace

Characters::Characters() {
  for (char32_t c = 0; c < table_.size(); ++c) table_[c] = classify(c);
}

uint8_t Characters::classify(char32_t c) {
  const auto type = category(c);
  const bool line = c == '\t' || c == '\n' || c == '\r';
  const bool other = type == U_CONTROL_CHAR || type == U_FORMAT_CHAR || type == U_PRIVATE_USE_CHAR;
  if (c == 0xFFFD || (other && !line)) return kDropped;

  uint8_t flags = 0;
  if (line || u_isUWhiteSpace(static_cast<UChar32>(c))) flags |= kSpace;
  if (is_ideograph(c)) flags |= kIdeograph;
  if (is_ascii_sign(c) || (U_MASK(type) & U_GC_P_MASK) != 0) flags |= kPunctuation;
  if (type == U_NON_SPACING_MARK) flags |= kMark;
  Decomposition parts;
  if (combining_class(c) != 0 || decompose(c, parts).front() != c) flags |= kReordered;
  if (lower(c) != c) flags |= kUpper;
  return flags;
}

char32_t Characters::lower(char32_t c) {
  // Pairs of Unicode 16.0, which an ICU before 76 does not know.
  switch (c) {
    case 0x1C89:
      return 0x1C8A;
    case 0xA7CB:
      return 0x0264;
    case 0xA7CC:
      return 0xA7CD;
    case 0xA7DA:
      return 0xA7DB;
    case 0xA7DC:
      return 0x019B;
    default:
      break;
  }
  if (c >= 0x10D50 && c <= 0x10D65) return c + 0x20;
  const auto lowered = static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
  return lowered != c && age(c) > kLowerCaseUntil ? c : lowered;
}

uint8_t Characters::combining_class(char32_t c) {
  return age(c) > kDecompositionsUntil ? uint8_t{0} : u_getCombiningClass(static_cast<UChar32>(c));
}

std::span<const char32_t> Characters::decompose(char32_t c, Decomposition& out) {
  out[0] = c;
  UChar units[16];
  UErrorCode status = U_ZERO_ERROR;
  const int32_t length = unorm2_getDecomposition(&nfd(), static_cast<UChar32>(c), units, std::size(units), &status);
  if (length <= 0 || U_FAILURE(status) || age(c) > kDecompositionsUntil) return {out.data(), 1};
  size_t count = 0;
  for (int32_t at = 0; at < length && count < out.size();) {
    UChar32 part;
    U16_NEXT(units, at, length, part);
    out[count++] = static_cast<char32_t>(part);
  }
  return {out.data(), count};
}

}  // namespace capture
