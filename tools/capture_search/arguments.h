// What the command line of capture_search asks for.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/model_arguments.h"

namespace capture {

struct SearchArguments {
  ModelArguments model;
  std::vector<std::filesystem::path> gallery;

  // The question; without one, questions come from a file or from standard input, a line each.
  std::optional<std::string> photo;
  std::optional<std::string> title;
  std::filesystem::path questions;  ///< empty: standard input

  std::string recipe;  ///< empty: as the question has it
  int64_t top = 10;

  bool json = false;
  std::filesystem::path report;  ///< the page to write
  bool open_report = false;
  bool timing = false;

  // For galleries that do not say, or not rightly, how their photos were seen.
  std::filesystem::path vision;
  std::filesystem::path scaling;
  std::filesystem::path backbone;

  bool single() const { return photo || title; }
};

/// Declares every option of capture_search.
void add_options(CLI::App& app, SearchArguments& arguments);

/// Fills in what follows from the rest: a folder that holds a run and a gallery, as the demo's does, stands for both;
/// a page that is to be opened has a place. CLI::ParseError when options do not go together.
void settle(SearchArguments& arguments);

}  // namespace capture
