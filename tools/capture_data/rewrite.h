// Samples of a dataset, chosen and stored anew: what convert and subset share.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "capture/data/dataset.h"

namespace capture {

struct RewriteOptions {
  std::vector<std::filesystem::path> datasets;
  std::filesystem::path output;
  std::string feature_type;         ///< "float16", "float32", "int8", or empty: as it is
  std::filesystem::path tokenizer;  ///< whose token ids to store; empty: those that are stored
  bool no_token_ids = false;
  double shard_gigabytes = 4;
  int64_t shard_samples = 0;
  int64_t workers = 1;
  bool force = false;
};

/// --output, --shard-gigabytes and the others that both commands have, into `options`.
void add_rewrite_options(CLI::App& command, RewriteOptions& options);

/// Writes the samples at `chosen` (ascending dataset indices) into a folder of shards, and returns what was done, in
/// words. `choice` says how they were chosen. A run that was interrupted goes on when it is started again.
std::string rewrite(const RewriteOptions& options, const Dataset& dataset, const std::vector<int64_t>& chosen,
                    const Json& choice);

}  // namespace capture
