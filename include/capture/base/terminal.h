// Text on a terminal: how wide it is there, how to fit it, and how to keep what it says from steering the terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace capture {

/// The text as one line that can be printed anywhere: line breaks, tabs and other control characters (the escape codes
/// that move a cursor or change colours, too) become spaces, bytes that are not UTF-8 U+FFFD.
std::string one_line(std::string_view text);

/// Columns that the text takes on a terminal: 2 for a wide character (Chinese, Korean, most emoji), 0 for a mark that
/// combines with the one before it. Control characters and bytes that are not UTF-8 count 1 each.
int64_t display_width(std::string_view text);

/// The text with spaces behind it up to `width` columns; where it is wider, its beginning and "…". width >= 1
std::string fitted(std::string_view text, int64_t width);

/// What a line on standard error begins with: on a terminal, codes that make it take the place of a progress bar.
std::string_view line_start();

/// Columns of the terminal that the descriptor leads to; 0 when it leads to none.
int64_t terminal_columns(int descriptor);

}  // namespace capture
