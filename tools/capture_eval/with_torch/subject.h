// The model that is to be measured: where its weights, tokenizer and settings are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "capture/retrieval/embedder.h"
#include "capture/text/tokenizer.h"
#include "capture_eval/arguments.h"

namespace capture {

struct Subject {
  std::string name;               ///< "runs/demo, step 3000"
  std::filesystem::path weights;  ///< a model file
  std::filesystem::path run;      ///< its run folder, or empty
  std::string configuration;      ///< the run's resolved configuration, or empty
  TokenizerOptions tokenizer;
  EmbedderOptions embedder;
  uint64_t seed = 0;  ///< of the weights before training
};

/// Reads the run's configuration, or takes everything from the command line. UserError when the run has no such
/// checkpoint, or its checkpoint is damaged.
Subject find_subject(const EvalArguments& arguments);

}  // namespace capture
