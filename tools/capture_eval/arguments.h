// What the command line of capture_eval asks for, and the two ways to answer it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "capture/retrieval/protocols.h"

namespace capture {

using Paths = std::vector<std::filesystem::path>;

struct EvalArguments {
  // Rankings that somebody else made.
  std::filesystem::path rankings;
  std::filesystem::path gallery_list;
  Paths query_lists;

  EvaluationOptions evaluation;
  std::filesystem::path output;  ///< empty: print alone
};

/// Figures of a ranking file. Touches nothing of LibTorch.
void evaluate_rankings(const EvalArguments& arguments);

}  // namespace capture
