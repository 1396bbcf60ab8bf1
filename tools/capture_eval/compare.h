// capture_eval compare: is a run better than another, by how much, and on which queries?
#pragma once

#include <CLI/CLI.hpp>
#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/report/comparison.h"
#include "capture/retrieval/compare.h"
#include "capture_eval/run_results.h"

namespace capture {

struct CompareArguments {
  std::vector<std::filesystem::path> runs;  ///< folders of results, or runs that hold them
  std::vector<std::string> names;           ///< one a run; empty: from their paths
  std::string metric;                       ///< empty: the first figure of all
  PairedOptions paired;
  bool json = false;  ///< on standard output, instead of text
  std::filesystem::path output;
  std::string title;
  std::vector<std::string> command;
};

void add_compare_options(CLI::App& app, CompareArguments& arguments);

/// Reads, compares, prints, and with an output folder writes comparison.json and comparison.html.
void compare_runs(const CompareArguments& arguments);

/// Every figure, and the chosen one by number of products, by label and by query. Rankings and photos are left empty.
ComparisonInput compared(const std::vector<RunResults>& runs, const CompareArguments& arguments);

/// Gallery, titles, rankings and photos, where the results carry them. The photos' bytes live in `photos`.
void add_rankings(ComparisonInput& comparison, const std::vector<RunResults>& runs, std::deque<std::string>& photos);

/// As a person reads it in a terminal.
std::string comparison_text(const ComparisonInput& comparison);

/// As a program reads it.
Json comparison_json(const ComparisonInput& comparison, const PairedOptions& paired);

}  // namespace capture
