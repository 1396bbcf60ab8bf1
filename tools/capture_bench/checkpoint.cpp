// What checkpoints cost training: how long the step waits for one, and how much slower steps are while it is written.
#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <thread>

#include "bench.h"
#include "capture/base/error.h"
#include "capture/model/weights.h"
#include "capture/objectives/pretraining.h"
#include "capture/tensor/runtime.h"
#include "capture/train/checkpoint_writer.h"
#include "capture/train/trainer.h"
#include "synthetic_batch.h"

namespace capture {

namespace {

using Clock = std::chrono::steady_clock;

/// The share of a run's time that checkpoints may take.
constexpr double kShare = 0.02;

struct Arguments {
  int64_t batch = 8;
  int64_t interval = 10;
  int64_t checkpoints = 5;
  int64_t threads = 0;
  std::string config;
  std::string folder = std::filesystem::temp_directory_path().string();
  bool foreground = false;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// A model that trains on one batch, over and over.
class Training {
 public:
  explicit Training(const Arguments& arguments)
      : model_(configured_model(arguments.config), 42),
        optimizer_(named_parameters_of(*model_), {}),
        batch_(synthetic_batch(model_->options(), arguments.batch, TitleLengths::full, 42)),
        inputs_(packed(batch_.inputs)),
        targets_(packed(batch_.targets, batch_.inputs)) {}

  void step() {
    const auto losses = pretraining_losses(*model_, inputs_, targets_, {});
    losses.total.backward();
    optimizer_.step(1.0, losses.total.detach());
    optimizer_.clear_gradients();
  }

  std::vector<TensorFile> files() const { return checkpoint_files(*model_, optimizer_, {}); }

 private:
  HybridStreamModel model_;
  Optimizer optimizer_;
  SyntheticBatch batch_;
  PackedBatch inputs_;
  MaskedTargets targets_;
};

struct Costs {
  double preparation = 0;           // seconds until the memory for the copies was there
  std::vector<double> undisturbed;  // seconds of the steps while nothing was written
  std::vector<double> waits;        // of each checkpoint: how long the step's thread was held up
  std::vector<double> slowdowns;    // how much longer the steps during the write took, all together
  std::vector<double> writes;       // until the checkpoint was on the disk

  /// Of each checkpoint: what it cost in all. Chance may make the steps beside one quicker.
  std::vector<double> each() const {
    std::vector<double> sums = waits;
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += slowdowns[i];
    return sums;
  }
};

/// Trains `interval` steps from one checkpoint to the next.
Costs measure(const Arguments& arguments, Training& training, const CheckpointStore& store) {
  const auto timed = [](const auto& call) {
    const auto start = Clock::now();
    call();
    return seconds_since(start);
  };
  CheckpointWriter writer(store, !arguments.foreground);
  Costs costs;
  costs.preparation = timed([&] { writer.prepare(training.files()); });
  for (int i = 0; i < 2; ++i) training.step();
  std::vector<std::vector<double>> disturbed;
  double written = 0;
  std::jthread clock;  // sees when a checkpoint is on the disk
  const auto look_at_clock = [&] {
    if (!clock.joinable()) return;
    clock.join();
    costs.writes.push_back(written);
    if (const auto failure = writer.take_failure()) throw UserError({.what = failure->what});
  };
  for (int64_t i = 0; i < arguments.checkpoints; ++i) {
    const auto start = Clock::now();
    costs.waits.push_back(timed([&] {
      look_at_clock();
      writer.save({.step = i + 1, .files = training.files()});
      if (arguments.foreground) writer.wait();
    }));
    std::vector<double>& during = disturbed.emplace_back();
    clock = std::jthread([&writer, &written, start] {
      while (!writer.wait_for(std::chrono::hours(1))) {
      }
      written = seconds_since(start);
    });
    for (int64_t step = 0; step < arguments.interval; ++step) {
      const bool was_busy = writer.is_busy();
      const double seconds = timed([&] { training.step(); });
      (was_busy ? during : costs.undisturbed).push_back(seconds);
    }
  }
  look_at_clock();
  if (costs.undisturbed.empty()) {
    throw UserError({.what = "every step fell into the writing of a checkpoint", .hint = "raise --interval"});
  }
  const double step = median(costs.undisturbed);
  for (const auto& during : disturbed) {
    double slowdown = 0;
    for (const double seconds : during) slowdown += seconds - step;
    costs.slowdowns.push_back(slowdown);
  }
  return costs;
}

void run_checkpoint(const Arguments& arguments) {
  const auto runtime = tune_cpu_runtime(arguments.threads);
  Training training(arguments);
  const auto folder = std::filesystem::path(arguments.folder) / ("capture_bench_" + std::to_string(::getpid()));
  const CheckpointStore store(folder);
  struct Removal {
    const std::filesystem::path& path;
    ~Removal() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  } removal{folder};

  Costs costs = measure(arguments, training, store);
  uint64_t bytes = 0;
  for (const auto& file : training.files()) {
    for (const auto& [name, tensor] : file.tensors) bytes += tensor.nbytes();
  }
  const double step = median(costs.undisturbed);
  const std::vector<double> each = costs.each();
  const double cost = median(each);
  const Json line = {{"bench", "checkpoint"},
                     {"impl", arguments.foreground ? "foreground" : "background"},
                     {"batch", arguments.batch},
                     {"threads", runtime.threads},
                     {"megabytes", static_cast<double>(bytes) / 1e6},
                     {"checkpoints", arguments.checkpoints},
                     {"step_seconds", step},
                     {"prepare_seconds", costs.preparation},
                     {"wait_seconds", median(costs.waits)},
                     {"slowdown_seconds", median(costs.slowdowns)},
                     {"write_seconds", median(costs.writes)},
                     {"cost_seconds", cost},
                     {"cost_in_steps", cost / step},
                     {"first_cost_in_steps", each.front() / step},
                     {"most_cost_in_steps", *std::ranges::max_element(each) / step},
                     {"mean_cost_in_steps", mean(each) / step},
                     {"seconds_between_for_2_percent", cost / kShare},
                     {"steps_between_for_2_percent", std::ceil(cost / kShare / step)},
                     {"peak_rss_mb", peak_memory()}};
  std::printf("%s\n", to_line(line).c_str());
}

}  // namespace

Benchmark add_checkpoint(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "checkpoint", "What a checkpoint costs training: the wait, and slower steps while it is written.");
  command->add_option("--batch", arguments->batch, "Pairs a step.")->check(CLI::Range(1, 65536))->capture_default_str();
  command->add_option("--interval", arguments->interval, "Steps between two checkpoints.")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--checkpoints", arguments->checkpoints, "How many.")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--threads", arguments->threads, "Threads inside an operation; 0: one a core.")
      ->check(CLI::Range(0, 4096));
  command->add_option("--config", arguments->config, "A configuration whose model section gives other sizes.");
  command->add_option("--folder", arguments->folder, "Where to write; nothing is left there.")->capture_default_str();
  command->add_flag("--foreground", arguments->foreground,
                    "Wait for each checkpoint, as checkpoint_in_background=false.");
  command->footer("Example: capture_bench checkpoint --interval 10 --checkpoints 3 --folder runs/checkpoint_cost");
  return {command, [arguments] { run_checkpoint(*arguments); }};
}

}  // namespace capture
