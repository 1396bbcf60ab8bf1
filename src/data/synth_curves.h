// How often things occur in the published Product1M dev list: counts alone, no name or title.
// Written by tools/derive_product1m_curves.py; do not edit by hand.
#pragma once

#include <array>
#include <cstdint>

namespace capture::synth {

/// How many labels a photo is listed with, and how many of them differ.
struct KitShape {
  int32_t listed;
  int32_t distinct;
  int32_t count;
};

/// How often each label is listed, the most frequent first.
inline constexpr std::array<int32_t, 295> kLabelCounts = {
    258, 230, 190, 142, 142, 137, 132, 121, 115, 115, 115, 105, 102, 98, 95, 87, 87, 85, 83, 82, 74, 74, 74, 71, 69,
    64,  64,  62,  60,  56,  55,  51,  51,  51,  51,  51,  50,  50,  50, 50, 50, 48, 48, 48, 48, 48, 48, 48, 48, 48,
    48,  47,  47,  47,  45,  45,  44,  44,  44,  42,  41,  41,  41,  41, 41, 40, 40, 38, 38, 38, 37, 37, 36, 36, 36,
    34,  34,  34,  34,  34,  33,  32,  32,  32,  32,  32,  31,  31,  31, 31, 31, 31, 31, 31, 31, 29, 28, 28, 28, 26,
    24,  24,  23,  23,  23,  23,  22,  22,  21,  21,  21,  21,  19,  19, 18, 18, 18, 18, 18, 18, 17, 17, 17, 17, 17,
    17,  15,  15,  15,  13,  13,  12,  12,  12,  12,  12,  12,  12,  11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 10, 10,
    10,  10,  10,  10,  10,  10,  10,  10,  10,  10,  10,  10,  9,   9,  9,  9,  9,  9,  8,  8,  8,  8,  8,  8,  7,
    7,   7,   7,   7,   7,   7,   6,   6,   6,   6,   6,   6,   6,   6,  6,  6,  5,  5,  5,  5,  5,  5,  5,  5,  5,
    5,   5,   5,   5,   5,   5,   5,   5,   5,   5,   5,   5,   5,   4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
    4,   3,   3,   3,   3,   3,   3,   3,   3,   3,   3,   3,   3,   3,  3,  3,  3,  3,  3,  2,  2,  2,  2,  2,  2,
    2,   2,   2,   2,   2,   2,   2,   2,   2,   1,   1,   1,   1,   1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,
    1,   1,   1,   1,   1,   1,   1,   1,   1,   1,   1,   1,   1,   1,  1,  1,  1,  1,  1,  1};

/// How many labels each brand has, the largest first. The labels of a photo are of one brand.
inline constexpr std::array<int32_t, 34> kBrandSizes = {35, 26, 23, 22, 17, 15, 13, 13, 13, 11, 10, 9, 8, 8, 8, 7, 5,
                                                        5,  4,  4,  4,  4,  4,  4,  3,  3,  3,  2,  2, 2, 2, 2, 2, 2};

/// Titles of first_title_tokens, one more, … tokens, [CLS] and [SEP] among them.
inline constexpr int32_t kFirstTitleTokens = 7;
inline constexpr std::array<int32_t, 30> kTitleTokens = {1,   2,   6,   5,   36,  8,   12, 6,  13,  10,
                                                         18,  27,  14,  35,  43,  33,  73, 91, 165, 146,
                                                         223, 276, 289, 332, 306, 432, 57, 10, 3,   1};

/// Photos of each shape. Those of more than 7 labels, which only the test list has, are a guess.
inline constexpr std::array<KitShape, 17> kKitShapes = {{{1, 1, 53},
                                                         {2, 1, 165},
                                                         {2, 2, 1048},
                                                         {3, 1, 4},
                                                         {3, 2, 25},
                                                         {3, 3, 897},
                                                         {4, 3, 39},
                                                         {4, 4, 265},
                                                         {5, 3, 2},
                                                         {5, 4, 115},
                                                         {5, 5, 34},
                                                         {7, 6, 26},
                                                         {8, 7, 10},
                                                         {9, 8, 6},
                                                         {10, 8, 4},
                                                         {11, 9, 2},
                                                         {12, 10, 1}}};

}  // namespace capture::synth
