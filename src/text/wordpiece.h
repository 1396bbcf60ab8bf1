// BERT's WordPiece tokenizer, equal id for id to PyPI `tokenizers`' BertWordPieceTokenizer.
//
// Order of work, as there: drop control characters, put spaces around CJK ideographs, decompose and drop accents (NFD,
// category Mn), lower-case, split at white space and around punctuation, then take the longest piece of the vocabulary
// from the left, again and again. A word with more than 100 characters or with a part that no piece covers is [UNK].
// Here all of that is one pass over the text, a character at a time, without building the strings in between.
#pragma once

#include <memory>

#include "capture/text/tokenizer.h"

namespace capture {

std::unique_ptr<Tokenizer> load_wordpiece(const TokenizerOptions& options);

}  // namespace capture
