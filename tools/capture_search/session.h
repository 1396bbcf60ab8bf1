#pragma once

#include "capture_search/arguments.h"

namespace capture {

/// Asks the question of the command line, or every line's, prints the answers and writes the page. UserError, after all
/// others are answered, when a line could not be.
void search(const SearchArguments& arguments);

}  // namespace capture
