// The panels' products on AMX, which multiplies 16 × 32 by 32 × 16 numbers of bfloat16 at once.
#pragma once

#include "panel_product.h"

namespace capture::kernels {

/// Whether the running processor and its system let the program use AMX.
bool has_tiles();

constexpr int64_t kTileRows = 32;     // lines of a row panel: two tiles, in Order::tiles
constexpr int64_t kTileColumns = 32;  // of a column panel: two tiles, in Order::words
constexpr int64_t kTileWords = 16;    // of a line that a tile takes; a line has a multiple of it

/// PanelProduct::multiply() for panels that are laid out so.
void multiply_tiles(const PanelProduct& product, int64_t begin, int64_t end, int64_t first, int64_t last,
                    const uint32_t* row_panels, const uint32_t* column_panels, int64_t next);

}  // namespace capture::kernels
