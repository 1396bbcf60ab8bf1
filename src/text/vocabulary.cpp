#include "vocabulary.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <string_view>
#include <unordered_map>

#include "capture/base/error.h"
#include "capture/base/files.h"

namespace capture {

namespace {

constexpr uint64_t kMaxBytes = uint64_t{16} << 20;

std::string at_line(const std::filesystem::path& path, size_t line) {
  return path.string() + ":" + std::to_string(line);
}

[[noreturn]] void fail_not_text(const std::string& what, const std::string& where) {
  throw UserError({.what = what,
                   .where = where,
                   .allowed = "a WordPiece vocabulary: text in UTF-8, one piece a line",
                   .hint = "for a sentencepiece model, choose the type sentencepiece"});
}

/// The line without white space at its end. UserError when it is not UTF-8.
std::string_view trimmed(std::string_view line, const std::filesystem::path& path, size_t number) {
  size_t end = 0;
  for (size_t at = 0; at < line.size();) {
    UChar32 c;
    U8_NEXT(line.data(), at, line.size(), c);
    if (c < 0) fail_not_text("the line is not UTF-8", at_line(path, number));
    if (!u_isUWhiteSpace(c)) end = at;
  }
  return line.substr(0, end);
}

}  // namespace

void fail_missing_special(const std::filesystem::path& path, const std::string& name) {
  throw UserError({.what = "the vocabulary has no piece " + name,
                   .where = path.string(),
                   .allowed = "vocabularies with [PAD], [UNK], [CLS], [SEP] and [MASK]"});
}

void fail_no_piece(int32_t id, int64_t size) {
  throw UserError(
      {.what = "there is no piece with id " + std::to_string(id), .allowed = "0 to " + std::to_string(size - 1)});
}

Vocabulary read_vocabulary(const std::filesystem::path& path) {
  const std::string text = read_file(path, kMaxBytes);
  if (text.find('\0') != std::string::npos) fail_not_text("the file is binary", path.string());
  std::string_view rest = text;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);

  Vocabulary vocabulary;
  std::unordered_map<std::string_view, int32_t> ids;
  size_t blank = 0;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t newline = rest.find('\n');
    const std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
    if (line.empty() || line == "\r") {
      if (blank == 0) blank = number;
      continue;
    }
    if (blank != 0) {
      throw UserError({.what = "a blank line among the pieces",
                       .where = at_line(path, blank),
                       .allowed = "one piece a line",
                       .hint = "a line's number is its piece's id: restore the piece or remove the line"});
    }
    const std::string_view piece = trimmed(line, path, number);
    const auto [first, fresh] = ids.emplace(piece, static_cast<int32_t>(vocabulary.pieces.size()));
    if (!fresh) {
      throw UserError({.what = "the piece \"" + std::string(piece) + "\" stands twice (first on line " +
                               std::to_string(first->second + 1) + ")",
                       .where = at_line(path, number),
                       .allowed = "each piece once"});
    }
    vocabulary.pieces.emplace_back(piece);
  }

  const auto id_of = [&](const char* name) {
    const auto at = ids.find(name);
    if (at == ids.end()) fail_missing_special(path, name);
    return at->second;
  };
  vocabulary.specials = {
      .pad = id_of(kPad), .unknown = id_of(kUnknown), .cls = id_of(kCls), .sep = id_of(kSep), .mask = id_of(kMask)};
  return vocabulary;
}

}  // namespace capture
