// The model that is to be used: where its weights, tokenizer and settings are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "capture/retrieval/embedding_cache.h"
#include "capture/text/tokenizer.h"
#include "common/model_arguments.h"

namespace capture {

struct Subject {
  std::string name;               ///< "runs/demo, step 3000"
  std::filesystem::path weights;  ///< a model file
  std::filesystem::path run;      ///< its run folder, or empty
  std::string configuration;      ///< the run's resolved configuration, or empty
  TokenizerOptions tokenizer;
  EmbedderOptions embedder;
  std::optional<EmbeddingCache> cache;  ///< none where it was not wanted
  uint64_t seed = 0;                    ///< of the weights before training
};

/// Reads the run's configuration, or takes everything from the command line. A run keeps a copy of its tokenizer. One
/// of an earlier version names it as seen from the folder in which it was trained; from elsewhere it is looked for
/// beside the folders that the run lies in. UserError when the run has no such checkpoint, or its checkpoint is
/// damaged.
Subject find_subject(const ModelArguments& arguments);

/// The subject's cache for this model, which has its weights; none where none was wanted.
std::optional<CacheOfModel> cache_of(const Subject& subject, const HybridStreamModelImpl& model);

}  // namespace capture
