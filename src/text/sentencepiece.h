// A sentencepiece model (unigram or BPE) as a Tokenizer.
#pragma once

#include <memory>

#include "capture/text/tokenizer.h"

namespace capture {

std::unique_ptr<Tokenizer> load_sentencepiece(const TokenizerOptions& options);

}  // namespace capture
