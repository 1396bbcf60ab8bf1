// capture_train: pretrains a model on shards of image-title pairs.
#include <sys/prctl.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/base/rank_log.h"
#include "capture/base/sentence.h"
#include "capture/train/pretrain.h"
#include "capture_train/batch_sizes.h"
#include "capture_train/gallery_evaluation.h"
#include "capture_train/launch.h"
#include "common/program.h"

namespace {

/// The exit code of a run that trainer.time_limit ended: that of timeout(1).
constexpr int kOutOfTime = 124;

constexpr const char* kFooter = R"(
Example:
  capture_train --config configs/demo.json --output runs/mine
  capture_train --config configs/demo.json --output runs/mine --resume auto    # after an interruption
  capture_train --config configs/demo.json --output runs/two --launch 2        # two processes on this machine
  capture_train --config configs/capture_product1m.json --find-batch-size      # what fits, and what is fastest

Under torchrun --no-python or Slurm's srun, each process finds its rank in the environment (docs/clusters.md).
SIGTERM, SIGINT and SIGUSR1 finish the step, write a checkpoint and end with 128 + the signal's number; a second SIGTERM
or SIGINT ends at once. A run that trainer.time_limit stops ends with 124.)";

struct Arguments {
  std::string config;
  std::vector<std::string> settings;
  std::string output;
  std::string resume = "never";
  std::string init;
  int64_t launch = 0;
  int64_t profile = 0;
  bool find_batch_size = false;
  double memory = 0;
  bool help_config = false;
  bool print_schema = false;
};

/// As an unset variable of a shell leaves one behind.
std::string refuse_empty(const std::string& value) {
  return value.empty() ? "is empty" : "";
}

void add_arguments(CLI::App& app, Arguments& arguments) {
  app.add_option("--config", arguments.config, "Configuration file; see --help-config")->check(refuse_empty);
  app.add_option("--set", arguments.settings, "key=value over the file, e.g. trainer.epochs=3; repeatable")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--output", arguments.output, "Run folder; runs/<name of the config> by default")->check(refuse_empty);
  app.add_option("--resume", arguments.resume, "never, auto (the newest whole checkpoint), or a checkpoint's path")
      ->check(refuse_empty);
  app.add_option("--init", arguments.init, "Weights to start from: ours, official or BERT, .safetensors")
      ->check(refuse_empty);
  auto* launch = app.add_option("--launch", arguments.launch, "Train in this many processes on this machine")
                     ->check(CLI::Range(1, 1024));
  app.add_option("--profile", arguments.profile, "Record this many steps in trace.json; sets trainer.profile_steps")
      ->check(CLI::Range(1, 100));
  auto* find = app.add_flag("--find-batch-size", arguments.find_batch_size,
                            "Try batches of 1, 2, 4, ... pairs; print samples/s and memory of each, and end")
                   ->excludes(launch);
  app.add_option("--memory", arguments.memory, "GiB of RAM that --find-batch-size may take on a CPU")
      ->needs(find)
      ->check(CLI::Range(0.01, 1e6));
  app.add_flag("--help-config", arguments.help_config, "Print every configuration key and end");
  app.add_flag("--print-schema", arguments.print_schema, "Print the configuration's JSON Schema and end");
  app.footer(kFooter);
}

/// What would be passed over otherwise, or begin another run than the one that is meant.
void require_sense(const Arguments& arguments) {
  const std::filesystem::path config = arguments.config;
  if (arguments.output.empty() && !arguments.find_batch_size && config.filename() == "config.resolved.json") {
    const std::string run = config.has_parent_path() ? config.parent_path().string() : ".";
    throw capture::UserError(
        {.what = "is a run's own configuration, and --output is missing",
         .where = arguments.config,
         .hint = "go on with that run by --output " + run + " --resume auto, or name a new folder"});
  }
  if (!arguments.init.empty() && arguments.resume != "never" && arguments.resume != "auto") {
    throw capture::UserError({.what = "begins with other weights than --resume " + arguments.resume,
                              .where = "--init " + arguments.init,
                              .hint = "leave out one of the two"});
  }
}

capture::TrainRequest request_of(const Arguments& arguments) {
  if (arguments.config.empty()) {
    throw capture::UserError(
        {.what = "--config is missing", .hint = "start from configs/demo.json, or see --help-config"});
  }
  require_sense(arguments);
  capture::TrainRequest request;
  std::vector<std::string> settings = arguments.settings;
  if (arguments.profile > 0) settings.push_back("trainer.profile_steps=" + std::to_string(arguments.profile));
  capture::read_options(capture::read_config(arguments.config, settings), request.config);
  request.output = arguments.output.empty()
                       ? std::filesystem::path("runs") / std::filesystem::path(arguments.config).stem()
                       : std::filesystem::path(arguments.output);
  request.resume = arguments.resume;
  request.init = arguments.init;
  request.make_evaluation = capture::make_gallery_evaluation;
  return request;
}

/// Says how the run ended; returns the exit code.
int conclude(const capture::TrainOutcome& outcome, const std::filesystem::path& output) {
  using capture::RunEnd;
  if (outcome.end == RunEnd::complete || outcome.end == RunEnd::patience) {
    capture::log::info("done: {} steps{}; the last checkpoint is {}", outcome.step,
                       outcome.end == RunEnd::patience ? ", ended early by trainer.patience" : "",
                       outcome.checkpoint.string());
    return 0;
  }
  const bool late = outcome.end == RunEnd::time_limit;
  capture::log::info("stopped after step {} of {}{}; go on with the same command and --resume auto (output {})",
                     outcome.step, outcome.total_steps, late ? " by trainer.time_limit" : "", output.string());
  return late ? kOutOfTime : 128 + outcome.signal;
}

/// Trains as one process of the group that the environment speaks of, or alone.
capture::TrainOutcome train(const capture::TrainRequest& request, const capture::ProcessContext& context) {
  if (request.config.distributed.bind_cores) capture::bind_cores(context);  // before anything starts threads
  const auto group = capture::start_process_group(context, request.config.distributed);
  try {
    return capture::pretrain(request, group);
  } catch (const std::exception& error) {
    const std::string reason = capture::sentence_of(error);
    capture::log_error_to_files(reason);
    group.leave(reason);
    throw;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Pretrains a model on shards of image-title pairs.", "capture_train");
  Arguments arguments;
  add_arguments(app, arguments);
  int interrupted = 0;
  const int code = capture::run_program(app, argc, argv, [&] {
    if (arguments.help_config) {
      std::fputs(capture::to_help(capture::TrainConfig{}).c_str(), stdout);
      return;
    }
    if (arguments.print_schema) {
      std::fputs(capture::to_text(capture::to_schema(capture::TrainConfig{}, "capture_train")).c_str(), stdout);
      return;
    }
    const capture::TrainRequest request = request_of(arguments);
    if (arguments.find_batch_size) {
      capture::print_batch_sizes(request.config, arguments.memory);
      return;
    }
    if (arguments.launch > 0) {
      const int64_t patience = std::min<int64_t>(30, request.config.distributed.timeout_seconds + 5);
      interrupted =
          capture::launch({arguments.launch, {argv, argv + argc}, request.output, std::chrono::seconds(patience)});
      return;
    }
    // Without torchrun's agent nobody would end this process, or start it again. Not SIGTERM, of which a second one
    // ends it before its checkpoint.
    if (std::getenv("TORCHELASTIC_RUN_ID") != nullptr) ::prctl(PR_SET_PDEATHSIG, SIGUSR1);
    const auto context = capture::read_process_context();
    if (context.rank > 0) {
      const std::string name = "rank " + std::to_string(context.rank);
      capture::log_quietly_as(name);
      app.name("capture_train, " + name);
    }
    interrupted = conclude(train(request, context), request.output);
  });
  return code == 0 ? interrupted : code;
}
