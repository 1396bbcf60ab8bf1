// Titles to token ids and back: the interface that BERT WordPiece and sentencepiece share, and how one is loaded.
//
// Text is UTF-8. Bytes that are not valid UTF-8 count as U+FFFD; no input makes an encoder fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/base/fields.h"

namespace capture {

/// The ids that mean something other than text. All five are below the vocabulary size, and all differ.
struct SpecialTokens {
  int32_t pad = 0;
  int32_t unknown = 0;
  int32_t cls = 0;   ///< begins every title; its output stands for the whole title
  int32_t sep = 0;   ///< ends every title
  int32_t mask = 0;  ///< takes the place of a token that the model must guess
};

/// Immutable once loaded: every member function may be called from many threads at once.
class Tokenizer {
 public:
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  virtual ~Tokenizer() = default;

  /// Appends the ids of `text` to `ids`, the first `limit` of them at most. No [CLS], no [SEP].
  virtual void append(std::string_view text, std::vector<int32_t>& ids, size_t limit = kNoLimit) const = 0;

  /// The ids of `text`, all of them, without [CLS] and [SEP].
  std::vector<int32_t> encode(std::string_view text) const;

  /// The text that `ids` stand for, as near as the vocabulary kept it; special tokens other than unknown are left out.
  virtual std::string decode(std::span<const int32_t> ids) const = 0;

  /// How the vocabulary writes `id`, "##ing" or "▁the". UserError when there is no such id.
  virtual std::string_view piece(int32_t id) const = 0;

  /// Ids run from 0 to one less than this.
  virtual int64_t vocabulary_size() const = 0;

  virtual SpecialTokens specials() const = 0;

  /// 16 hexadecimal digits that are the same for two tokenizers only if both give every text the same ids: a checksum
  /// of the vocabulary and of the options that change ids. Shards and runs keep it to refuse another vocabulary.
  virtual std::string fingerprint() const = 0;
};

/// [CLS], as many ids of `text` as fit, [SEP]: at most `max_tokens` ids, which must be at least 2.
std::vector<int32_t> encode_with_specials(const Tokenizer& tokenizer, std::string_view text,
                                          size_t max_tokens = Tokenizer::kNoLimit);

enum class TokenizerType { wordpiece, sentencepiece };
enum class AccentStripping { automatic, yes, no };

struct TokenizerOptions {
  TokenizerType type = TokenizerType::wordpiece;
  std::string file = {};  ///< wordpiece: vocabulary, one piece a line; sentencepiece: model file

  // WordPiece alone; a sentencepiece model carries its own normalisation.
  bool lower_case = true;
  AccentStripping strip_accents = AccentStripping::automatic;  ///< automatic: as lower_case says
  bool space_cjk = true;                                       ///< every CJK ideograph is a word of its own
  bool specials_in_text = true;                                ///< "[MASK]" in a title is the special token

  void visit(FieldVisitor& f);
};

/// UserError when the file cannot be read, is no vocabulary of that type, or lacks a special token.
std::unique_ptr<Tokenizer> load_tokenizer(const TokenizerOptions& options);

}  // namespace capture
