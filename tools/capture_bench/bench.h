// capture_bench's parts: each registers a sub-command and prints one JSON line a result.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "capture/model/options.h"

namespace capture {

struct Benchmark {
  CLI::App* command;
  std::function<void()> run;
};

Benchmark add_train(CLI::App& app);
Benchmark add_embed(CLI::App& app);
Benchmark add_load(CLI::App& app);
Benchmark add_search(CLI::App& app);
Benchmark add_checkpoint(CLI::App& app);

/// The full-size model, or what a configuration's model section says.
HybridStreamModelOptions configured_model(const std::string& config);

/// Seconds of each of `count` calls, after one that is not counted.
std::vector<double> time_calls(int64_t count, const std::function<void()>& call);

/// Seconds of one of `count` calls, their mean, after three that are not counted. Calls may return before their work is
/// done; `all_done` waits for it, once before they begin and once after the last.
double time_together(int64_t count, const std::function<void()>& call, const std::function<void()>& all_done);

double median(std::vector<double> values);

/// The most memory that this process has held, in MiB.
double peak_memory();

}  // namespace capture
