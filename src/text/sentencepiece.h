// sentencepiece models as tokenizers, through the module that holds the library.
#pragma once

#include <memory>

#include "capture/text/tokenizer.h"

namespace capture {

std::unique_ptr<Tokenizer> load_sentencepiece(const TokenizerOptions& options);

}  // namespace capture
