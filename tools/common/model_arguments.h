// The options of every program that embeds with a trained model: which model, on what, within which limits.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace capture {

struct ModelArguments {
  std::filesystem::path run;
  std::string checkpoint = "newest";
  bool averaged = false;  ///< the run's moving average of its weights
  std::filesystem::path model;
  std::string sentencepiece;
  std::string vocabulary;

  int64_t batch_size = 64;
  int64_t workers = 1;
  std::optional<int64_t> max_tokens;  ///< by default as in training
  std::optional<int64_t> max_regions;
  int64_t threads = 0;
  std::string device = "auto";
  bool bfloat16 = false;

  std::filesystem::path cache;  ///< of embeddings; empty: <run>/cache, or the user's cache folder
  bool use_cache = true;

  bool given() const { return !run.empty() || !model.empty(); }
};

/// Declares --run, --checkpoint, --weights, --model, --tokenizer, --vocab and what else the struct holds, under this
/// heading.
void add_model_options(CLI::App& app, ModelArguments& arguments, const std::string& group);

/// CLI::ParseError when options of a given model do not go together.
void check(const ModelArguments& arguments);

}  // namespace capture
