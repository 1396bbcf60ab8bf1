#include "common/model_arguments.h"

#include <map>

#include "common/choice.h"

namespace capture {

namespace {

const std::map<std::string, bool> kPrecisions = {{"float32", false}, {"bfloat16", true}};
const std::map<std::string, bool> kWeights = {{"trained", false}, {"average", true}};

}  // namespace

void add_model_options(CLI::App& app, ModelArguments& arguments, const std::string& group) {
  app.add_option("--run", arguments.run, "Run folder of capture_train")->group(group);
  app.add_option("--checkpoint", arguments.checkpoint, "newest, best (by the run's validation), a step, or a folder")
      ->capture_default_str()
      ->group(group);
  app.add_option("--weights", arguments.averaged, "The run's trained weights, or their moving average (ema.decay)")
      ->transform(one_of(kWeights))
      ->type_name("TEXT")
      ->default_str("trained")
      ->group(group);
  app.add_option("--model", arguments.model, "Model file, instead of a run")->group(group);
  app.add_option("--tokenizer", arguments.sentencepiece, "sentencepiece model; by default the run's")->group(group);
  app.add_option("--vocab", arguments.vocabulary, "WordPiece vocabulary; by default the run's")->group(group);
  app.add_option("--batch", arguments.batch_size, "Pairs embedded at once")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str()
      ->group(group);
  app.add_option("--workers", arguments.workers, "Threads that load samples")
      ->check(CLI::Range(0, 256))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max-tokens", arguments.max_tokens, "Longest title in tokens; by default the run's, or 36")
      ->check(CLI::Range(2, 4096))
      ->group(group);
  app.add_option("--max-regions", arguments.max_regions, "Most regions a photo, 0 for all; by default the run's")
      ->check(CLI::Range(0, 4096))
      ->group(group);
  app.add_option("--threads", arguments.threads, "CPU threads; 0 for all")->check(CLI::Range(0, 1024))->group(group);
  app.add_option("--device", arguments.device, "auto, cpu, cuda or cuda:N")->capture_default_str()->group(group);
  app.add_option("--precision", arguments.bfloat16, "float32 or bfloat16")
      ->transform(one_of(kPrecisions))
      ->type_name("TEXT")
      ->default_str("float32")
      ->group(group);
  app.add_option(
         "--cache", arguments.cache,
         "Folder that keeps embeddings for the next run; by default <run>/cache, or ~/.cache/capture/embeddings")
      ->group(group);
  app.add_flag("!--no-cache", arguments.use_cache, "Embed anew, and keep nothing")->group(group);
}

void check(const ModelArguments& arguments) {
  if (!arguments.sentencepiece.empty() && !arguments.vocabulary.empty()) {
    throw CLI::ExcludesError("--tokenizer", "--vocab");
  }
  if (arguments.averaged && arguments.run.empty()) throw CLI::RequiredError("--weights average also needs --run");
  if (!arguments.model.empty() && arguments.sentencepiece.empty() && arguments.vocabulary.empty()) {
    throw CLI::RequiredError("--model also needs --tokenizer or --vocab");
  }
}

}  // namespace capture
