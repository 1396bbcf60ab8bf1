// Making a vocabulary from titles: a sentencepiece model whose special tokens stand where CAPTURE's own do.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "capture/base/fields.h"

namespace capture {

enum class PieceModel { unigram, bpe };

struct VocabularyTrainingOptions {
  PieceModel model = PieceModel::unigram;
  int64_t vocabulary_size = 8000;
  double character_coverage = 0.9995;
  bool lower_case = true;

  void visit(FieldVisitor& f);
};

/// Trains on every title that `next_title` gives until it returns false; empty titles are passed over, and titles of
/// more than 64 KiB left out by sentencepiece.
///
/// Returns the model file's bytes: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, then the pieces. The same titles and
/// options give the same bytes on every machine. UserError, with the reason, when there are no titles, when the size is
/// below the number of characters to cover, or above what the titles can fill.
std::string train_sentencepiece(const std::function<bool(std::string&)>& next_title,
                                const VocabularyTrainingOptions& options);

}  // namespace capture
