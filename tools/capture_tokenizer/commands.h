// The sub-commands of capture_tokenizer, a file each.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

#include "capture/text/tokenizer.h"

namespace capture {

/// `train`: a sentencepiece model from titles.
void add_train(CLI::App& app);

/// `encode`: titles on standard input to ids or pieces on standard output, a line each.
void add_encode(CLI::App& app);

/// `inspect`: a vocabulary's size and special tokens, and how well it covers given titles.
void add_inspect(CLI::App& app);

/// --type, --vocab and the WordPiece options, into `options`.
void add_tokenizer_options(CLI::App& command, TokenizerOptions& options);

/// Writes all of `text` to standard output. UserError when that fails (a full disk).
void print(std::string_view text);

}  // namespace capture
