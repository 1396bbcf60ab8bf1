// What is said of exceptions that are no UserError.
#pragma once

#include <exception>
#include <string>

namespace capture {

/// Whether memory has run out: RAM, by std::bad_alloc or as LibTorch says it, or a GPU's. No UserError says so.
bool is_out_of_memory(const std::exception& error);

/// What the exception says to a user, in one sentence without a stack; where memory has run out, what helps.
std::string sentence_of(const std::exception& error);

}  // namespace capture
