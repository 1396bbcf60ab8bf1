#include "common/with_torch/subject.h"

#include <cstdlib>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/train/checkpoint.h"
#include "capture/train/config.h"
#include "capture/train/run_folder.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

bool is_number(const std::string& text) {
  return !text.empty() && text.size() < 16 && text.find_first_not_of("0123456789") == std::string::npos;
}

Checkpoint newest(CheckpointStore& store, const fs::path& run) {
  const auto found = store.newest([](const std::string& damage) { log::warn("passed over: {}", damage); });
  if (found) return *found;
  throw UserError({.what = "the run has no checkpoint that is whole",
                   .where = run.string(),
                   .hint = "let capture_train finish, or name a model file with --model"});
}

Checkpoint choose_checkpoint(const ModelArguments& arguments) {
  CheckpointStore store(arguments.run / "checkpoints");
  const std::string& wanted = arguments.checkpoint;
  if (wanted == "newest") return newest(store, arguments.run);
  if (wanted == "best") {
    if (const auto step = store.best()) return open_checkpoint(store.path_of(*step));
    const fs::path copy = arguments.run / "checkpoints/best";  // of a run that was copied without its links
    std::error_code ignored;
    if (fs::is_directory(copy, ignored)) return open_checkpoint(copy);
    throw UserError({.what = "the run kept no best checkpoint",
                     .where = arguments.run.string(),
                     .hint = "train with data.validation, or take the newest"});
  }
  return open_checkpoint(is_number(wanted) ? store.path_of(std::stoll(wanted)) : fs::path(wanted));
}

fs::path average_of(const Checkpoint& checkpoint) {
  if (is_there(checkpoint.average())) return checkpoint.average();
  throw UserError({.what = "the checkpoint keeps no average of the weights",
                   .where = checkpoint.folder.string(),
                   .hint = "train with ema.decay above 0, or take --weights trained"});
}

/// The run's own copy, or, of a run that has none, the file as it names it, or the same name under one of the folders
/// above the run.
std::string find_tokenizer(const fs::path& run, const TokenizerOptions& tokenizer) {
  const fs::path copy = tokenizer_copy(run, tokenizer.type);
  if (is_there(copy)) return copy.string();
  const std::string& file = tokenizer.file;
  if (file.empty() || is_there(file) || fs::path(file).is_absolute()) return file;
  const fs::path start = fs::absolute(run).lexically_normal();
  for (fs::path folder = start; folder.has_relative_path(); folder = folder.parent_path()) {
    if (is_there(folder / file)) return (folder / file).string();
  }
  return file;
}

std::optional<EmbeddingCache> cache_of(const ModelArguments& arguments) {
  if (!arguments.use_cache) return std::nullopt;
  if (!arguments.cache.empty()) return EmbeddingCache(arguments.cache);
  if (!arguments.run.empty()) return EmbeddingCache(arguments.run / "cache");
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  if (cache != nullptr && *cache != 0) return EmbeddingCache(fs::path(cache) / "capture" / "embeddings");
  if (home != nullptr && *home != 0) return EmbeddingCache(fs::path(home) / ".cache" / "capture" / "embeddings");
  return std::nullopt;
}

void take_run(const ModelArguments& arguments, Subject& subject) {
  const fs::path file = arguments.run / "config.resolved.json";
  std::error_code error;  // what reading the file will say
  if (!fs::exists(file, error) && !error) {
    throw UserError({.what = "is no run folder: it has no config.resolved.json",
                     .where = arguments.run.string(),
                     .allowed = "a folder that capture_train wrote"});
  }
  TrainConfig config;
  read_options(read_config(file), config);
  const Checkpoint checkpoint = choose_checkpoint(arguments);
  subject.run = arguments.run;
  subject.name = arguments.run.string() + ", step " + std::to_string(checkpoint.step);
  if (arguments.averaged) subject.name += ", averaged weights";
  subject.weights = arguments.averaged ? average_of(checkpoint) : checkpoint.model();
  subject.configuration = read_file(file);
  subject.tokenizer = config.tokenizer;
  subject.tokenizer.file = find_tokenizer(arguments.run, config.tokenizer);
  subject.embedder.max_tokens = config.loader.max_tokens;
  subject.embedder.max_regions = config.loader.max_regions;
  subject.seed = static_cast<uint64_t>(config.trainer.seed);
}

}  // namespace

Subject find_subject(const ModelArguments& arguments) {
  Subject subject;
  subject.seed = 42;
  if (arguments.run.empty()) {
    subject.name = arguments.model.string();
    subject.weights = arguments.model;
  } else {
    take_run(arguments, subject);
  }
  if (!arguments.sentencepiece.empty()) {
    subject.tokenizer = {.type = TokenizerType::sentencepiece, .file = arguments.sentencepiece};
  } else if (!arguments.vocabulary.empty()) {
    subject.tokenizer = {.type = TokenizerType::wordpiece, .file = arguments.vocabulary};
  }
  subject.embedder.batch_size = arguments.batch_size;
  subject.embedder.workers = arguments.workers;
  if (arguments.max_tokens) subject.embedder.max_tokens = *arguments.max_tokens;
  if (arguments.max_regions) subject.embedder.max_regions = *arguments.max_regions;
  subject.embedder.precision = arguments.bfloat16 ? Precision::bfloat16 : Precision::float32;
  subject.cache = cache_of(arguments);
  return subject;
}

std::optional<CacheOfModel> cache_of(const Subject& subject, const HybridStreamModelImpl& model) {
  if (!subject.cache) return std::nullopt;
  return CacheOfModel(*subject.cache, model);
}

}  // namespace capture
