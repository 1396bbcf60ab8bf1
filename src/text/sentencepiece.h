// A sentencepiece model (unigram or BPE) as a Tokenizer.
#pragma once

#include <memory>
#include <string>

#include "capture/text/tokenizer.h"

namespace capture {

std::unique_ptr<Tokenizer> load_sentencepiece(const TokenizerOptions& options);

/// What a status of sentencepiece ("Internal: ./file.cc(580) [condition] Sentence.") says to its users: the sentence,
/// or "" when there is none.
std::string reason_of(const std::string& status);

}  // namespace capture
