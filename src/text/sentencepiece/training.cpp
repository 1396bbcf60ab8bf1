#include <sentencepiece_trainer.h>

#include "capture/base/error.h"
#include "module.h"
#include "status.h"
#include "text/vocabulary.h"

namespace capture {

namespace {

namespace sp = sentencepiece;

/// Hands sentencepiece one title after another. What the source throws is thrown here, through sentencepiece.
class Titles final : public sp::SentenceIterator {
 public:
  explicit Titles(const std::function<bool(std::string&)>& next_title) : next_title_(next_title) { Titles::Next(); }

  bool done() const override { return done_; }
  const std::string& value() const override { return title_; }
  sp::util::Status status() const override { return {}; }
  void Next() override {
    do {
      done_ = !next_title_(title_);
    } while (!done_ && title_.empty());
  }

 private:
  const std::function<bool(std::string&)>& next_title_;
  std::string title_;
  bool done_ = false;
};

}  // namespace

}  // namespace capture

void capture_sentencepiece_train(const std::function<bool(std::string&)>& next_title,
                                 const capture::VocabularyTrainingOptions& options, std::string& model) {
  using namespace capture;
  Titles titles(next_title);
  if (titles.done()) {
    throw UserError({.what = "there is no title to learn a vocabulary from", .allowed = "at least one title"});
  }
  const auto status = sp::SentencePieceTrainer::Train(
      {
          {"model_type", options.model == PieceModel::unigram ? "unigram" : "bpe"},
          {"vocab_size", std::to_string(options.vocabulary_size)},
          {"character_coverage", std::to_string(options.character_coverage)},
          {"normalization_rule_name", options.lower_case ? "nmt_nfkc_cf" : "nmt_nfkc"},
          {"pad_id", "0"},
          {"pad_piece", kPad},
          {"unk_id", "1"},
          {"unk_piece", kUnknown},
          {"bos_id", "2"},
          {"bos_piece", kCls},
          {"eos_id", "3"},
          {"eos_piece", kSep},
          {"control_symbols", kMask},  // takes the first free id, 4
          {"max_sentence_length", "65536"},
          // Sums over threads are in the order of their count: any fixed count gives the same model everywhere.
          {"num_threads", "2"},
          {"minloglevel", "2"},
      },
      &titles, &model);
  if (!status.ok()) {
    throw UserError({.what = "no vocabulary could be made of these titles: " + reason_of(status.ToString()),
                     .where = "vocabulary_size " + std::to_string(options.vocabulary_size)});
  }
}
