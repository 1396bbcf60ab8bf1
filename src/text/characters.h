// What the reference BERT tokenizer thinks of each Unicode character.
//
// The reference for ids is the PyPI package `tokenizers` (0.22). Its answers come from tables of several ages: general
// categories (control, mark, punctuation) as of Unicode 8.0, canonical decomposition as of 9.0, lower case as of 16.0.
// ICU tells each character's age, so those versions can be had from any newer ICU; the few characters whose category
// changed since are listed in characters.cpp. All 1,112,064 characters were compared one by one.
//
// It differs from BERT's first Python tokenizer in characters without a category: unassigned ones (and those assigned
// after Unicode 8.0) are kept here and dropped there. U+2B820 to U+2B91F get no space around them, U+2CEA2 to U+2CEAF
// do.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace capture {

class Characters {
 public:
  enum Flag : uint8_t {
    kDropped = 1,      ///< NUL, U+FFFD, control, format and private-use characters: taken out of the text
    kSpace = 2,        ///< ends a word
    kIdeograph = 4,    ///< in the CJK blocks whose characters are words of their own
    kPunctuation = 8,  ///< a word of its own: ASCII signs and Unicode's P categories
    kMark = 16,        ///< category Mn: dropped when accents are stripped
    kReordered = 32,   ///< NFD changes it, or may move it: it decomposes or has a combining class
    kUpper = 64,       ///< lower() changes it
  };

  Characters();

  /// The flags of a character, or 0 for a plain one.
  uint8_t operator[](char32_t c) const { return c < table_.size() ? table_[c] : classify(c); }

  /// One character's lower case. U+0130 (I with a dot), the only one with two characters, gives "i" without its dot.
  static char32_t lower(char32_t c);

  /// Canonical combining class, 0 to 254.
  static uint8_t combining_class(char32_t c);

  using Decomposition = std::array<char32_t, 8>;
  /// Writes c's full canonical decomposition (c itself when there is none) into `out`, whose start is returned.
  static std::span<const char32_t> decompose(char32_t c, Decomposition& out);

 private:
  static uint8_t classify(char32_t c);

  std::array<uint8_t, 0x10000> table_;  // the basic plane, where titles live; the rest is asked of ICU each time
};

}  // namespace capture
