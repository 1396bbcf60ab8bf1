#include <map>
#include <memory>

#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/text/titles.h"
#include "capture/text/vocabulary_training.h"
#include "capture_tokenizer/commands.h"
#include "common/choice.h"

namespace capture {

namespace {

struct Options {
  VocabularyTrainingOptions training;
  std::string titles;
  std::string output;
};

void train(const Options& options) {
  TitleReader titles(options.titles);
  AtomicFile file(options.output);  // before the work: a folder that cannot be written is known at once
  int64_t count = 0;
  const std::string model = train_sentencepiece(
      [&](std::string& title) {
        const bool more = titles.next(title);
        count += more ? 1 : 0;
        return more;
      },
      options.training);
  file.write(model);
  file.commit();
  log::info("{} pieces from {} titles in {}; use it with --type sentencepiece --vocab {}",
            options.training.vocabulary_size, count, options.output, options.output);
}

}  // namespace

void add_train(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("train", "Make a sentencepiece model from titles");
  command
      .add_option("--titles", options->titles,
                  "Titles: a text file (one a line), JSON lines with \"title\" (.jsonl), or a Product1M list")
      ->required()
      ->option_text("FILE");
  command.add_option("--output", options->output, "The model file to write")->required()->option_text("FILE");
  command.add_option("--model", options->training.model, "How pieces are chosen: unigram or bpe")
      ->transform(one_of<PieceModel>({{"unigram", PieceModel::unigram}, {"bpe", PieceModel::bpe}}))
      ->option_text("MODEL [unigram]");
  command
      .add_option("--vocabulary-size", options->training.vocabulary_size, "Pieces, the five special tokens among them")
      ->check(CLI::Range(int64_t{6}, int64_t{1} << 20))
      ->option_text("N [8000]");
  command
      .add_option("--character-coverage", options->training.character_coverage,
                  "Share of the titles' characters that get a piece; the rarest others become [UNK]")
      ->check(CLI::Range(0.98, 1.0))
      ->option_text("SHARE [0.9995]");
  command.add_flag_callback(
      "--cased", [options] { options->training.lower_case = false; }, "Keep upper case");
  command.footer(
      "The same titles and options give the same file, byte for byte.\n"
      "Example: capture_tokenizer train --titles titles.txt --vocabulary-size 4000 --output titles.model");
  command.callback([options] { train(*options); });
}

}  // namespace capture
