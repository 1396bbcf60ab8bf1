// Lines of a factor, changed in type and order, as the product kernels of this folder read them.
#pragma once

#include <cstdint>

#include "panel_product.h"

namespace capture::kernels {

/// How the words of a panel lie.
enum class Order {
  words,  ///< a word of every line, then the next one of every line
  tiles,  ///< sixteen words of every line side by side, then the next sixteen of every line
};

struct PanelLayout {
  int64_t lines;
  Order order;
  Word word;
  int64_t words;  ///< of a line; those past its numbers are zero
};

/// Panel `panel` of a factor, into lines · words words. `sums` as in PanelProduct::lay_out_rows().
void lay_out(const PanelLayout& layout, const Factor& factor, int64_t panel, int64_t depth, uint32_t* words,
             float* sums);

}  // namespace capture::kernels
