#include "capture/text/tokenizer.h"

#include <algorithm>

#include "capture/base/error.h"
#include "sentencepiece.h"
#include "wordpiece.h"

namespace capture {

namespace {
constexpr size_t kUsualTokens = 62;  // with [CLS] and [SEP], room for nearly every title without growing
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  append(text, ids);
  return ids;
}

std::vector<int32_t> encode_with_specials(const Tokenizer& tokenizer, std::string_view text, size_t max_tokens) {
  if (max_tokens < 2) {
    throw UserError(
        {.what = "a title of at most " + std::to_string(max_tokens) + " tokens has no room for [CLS] and [SEP]",
         .allowed = "at least 2 tokens"});
  }
  const SpecialTokens specials = tokenizer.specials();
  std::vector<int32_t> ids;
  ids.reserve(std::min({text.size(), max_tokens, kUsualTokens}) + 2);
  ids.push_back(specials.cls);
  tokenizer.append(text, ids, max_tokens == Tokenizer::kNoLimit ? max_tokens : max_tokens - 2);
  ids.push_back(specials.sep);
  return ids;
}

void TokenizerOptions::visit(FieldVisitor& f) {
  f.choice("type", type, "How titles are cut into tokens: BERT's WordPiece or a sentencepiece model.",
           {{"wordpiece", TokenizerType::wordpiece}, {"sentencepiece", TokenizerType::sentencepiece}});
  f.field("file", file, "The vocabulary (wordpiece: one piece a line) or the model file (sentencepiece).");
  f.field("lower_case", lower_case, "Lower-case titles (wordpiece alone).");
  f.choice("strip_accents", strip_accents, "Drop accents; auto: when lower_case is true (wordpiece alone).",
           {{"auto", AccentStripping::automatic}, {"yes", AccentStripping::yes}, {"no", AccentStripping::no}});
  f.field("space_cjk", space_cjk, "Every CJK ideograph is a word of its own (wordpiece alone).");
  f.field("specials_in_text", specials_in_text,
          "\"[MASK]\" and its like written in a title are the special tokens, as in the reference (wordpiece alone).");
}

std::unique_ptr<Tokenizer> load_tokenizer(const TokenizerOptions& options) {
  if (options.file.empty()) {
    throw UserError({.what = "no vocabulary is named",
                     .where = "tokenizer.file",
                     .allowed = "a WordPiece vocabulary or a sentencepiece model",
                     .hint = "make one with capture_tokenizer train"});
  }
  return options.type == TokenizerType::wordpiece ? load_wordpiece(options) : load_sentencepiece(options);
}

}  // namespace capture
