// What rows of every format are held against.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "capture/data/import/row.h"

namespace capture {

/// UserError without a place: whoever knows the line or the key adds it.
[[noreturn]] void refuse_row(std::string what, std::string allowed = {}, std::string hint = {});

/// The number of regions that a row claims.
void check_region_count(const RowRules& rules, int64_t count);

/// The width of features of which a row has `numbers` in all, for `regions` regions.
int64_t checked_feature_width(const RowRules& rules, uint64_t numbers, int64_t regions);

/// A title must have something in it besides white space.
void check_title(std::string_view title);

/// The text, cut short for a message.
std::string quoted(std::string_view text);

}  // namespace capture
