// A WordPiece vocabulary file: one piece a line, the line's number (from 0) its id.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "capture/text/tokenizer.h"

namespace capture {

struct Vocabulary {
  std::vector<std::string> pieces;
  SpecialTokens specials;
};

/// The names under which both kinds of vocabulary hold the special tokens.
inline constexpr const char* kPad = "[PAD]";
inline constexpr const char* kUnknown = "[UNK]";
inline constexpr const char* kCls = "[CLS]";
inline constexpr const char* kSep = "[SEP]";
inline constexpr const char* kMask = "[MASK]";

/// Reads a vocabulary as the reference does: white space at a line's end (a Windows line end among it) is no part of
/// the piece. A byte order mark and blank lines at the end of the file are passed over.
///
/// UserError with file and line: unreadable or larger than 16 MiB, not UTF-8, a piece that stands twice, a blank line
/// between pieces (every later id would be in doubt), or a special token missing.
Vocabulary read_vocabulary(const std::filesystem::path& path);

/// UserError that `path` has no piece called `name`.
[[noreturn]] void fail_missing_special(const std::filesystem::path& path, const std::string& name);

/// UserError that a vocabulary of `size` pieces has none with that id.
[[noreturn]] void fail_no_piece(int32_t id, int64_t size);

}  // namespace capture
