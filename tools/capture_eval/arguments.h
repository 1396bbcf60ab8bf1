// What the command line of capture_eval asks for, and the two ways to answer it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "capture/retrieval/protocols.h"
#include "common/model_arguments.h"

namespace capture {

using Paths = std::vector<std::filesystem::path>;

struct EvalArguments {
  // Rankings that somebody else made.
  std::filesystem::path rankings;
  std::filesystem::path gallery_list;
  Paths query_lists;

  // A model.
  ModelArguments model;
  Paths gallery;
  Paths queries;
  std::vector<std::string> recipes;
  std::vector<std::string> modes = {"whole"};
  std::string merge = "score";  ///< of instances
  bool cross_modal = false;
  bool baselines = false;
  std::optional<bool> report;  ///< by default for a model alone
  std::string title;
  int64_t depth = 0;             ///< 0: the whole gallery while it is small
  std::optional<uint64_t> seed;  ///< of the untrained model

  EvaluationOptions evaluation;
  std::filesystem::path unseen_labels;  ///< empty: no split
  std::optional<bool> trec;             ///< by default for a model alone
  std::filesystem::path output;         ///< empty: <run>/eval, and without a run print alone
  std::vector<std::string> command;     ///< the command line, word by word

  bool uses_model() const { return model.given(); }
};

/// Declares every option of capture_eval.
void add_options(CLI::App& app, EvalArguments& arguments);

/// Sorts the cutoffs. CLI::ParseError when options do not go together.
void settle(EvalArguments& arguments);

/// Figures of a ranking file. Touches nothing of LibTorch.
void evaluate_rankings(const EvalArguments& arguments);

/// Figures of a model: capture_eval_model does it, capture_eval becomes that program.
void evaluate_model(const EvalArguments& arguments);

}  // namespace capture
