// One training step and one embedding pass of the model on synthetic pairs.
#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "bench.h"
#include "breakdown.h"
#include "capture/base/error.h"
#include "capture/base/json.h"
#include "capture/data/batch_copier.h"
#include "capture/model/official.h"
#include "capture/objectives/pretraining.h"
#include "capture/tensor/device.h"
#include "capture/tensor/runtime.h"
#include "capture/train/flops.h"
#include "capture/train/machine.h"
#include "capture/train/optimizer.h"
#include "capture/train/trainer.h"
#include "common/choice.h"
#include "synthetic_batch.h"

namespace capture {

namespace {

struct Arguments {
  int64_t batch = 8;
  int64_t steps = 5;
  int64_t threads = 0;
  Precision precision = Precision::float32;
  TitleLengths lengths = TitleLengths::full;
  bool padded = false;
  bool breakdown = false;
  std::string config;
  std::string device = "cpu";
  Recompute recompute = Recompute::none;
};

std::shared_ptr<Arguments> add_arguments(CLI::App* command) {
  auto arguments = std::make_shared<Arguments>();
  command->add_option("--batch", arguments->batch, "Pairs a step.")->check(CLI::Range(1, 65536))->capture_default_str();
  command
      ->add_option("--steps", arguments->steps, "Steps to time, after one that is not; on a GPU together, after three.")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--threads", arguments->threads, "Threads inside an operation; 0: one a core.")
      ->check(CLI::Range(0, 4096));
  command->add_option("--dtype", arguments->precision, "fp32, or bf16 through autocast.")
      ->transform(one_of<Precision>({{"fp32", Precision::float32}, {"bf16", Precision::bfloat16}}))
      ->type_name("TEXT")
      ->default_str("fp32");
  command->add_option("--lengths", arguments->lengths, "Title lengths: full (36 tokens), or product1m's.")
      ->transform(one_of<TitleLengths>({{"full", TitleLengths::full}, {"product1m", TitleLengths::product1m}}))
      ->type_name("TEXT")
      ->default_str("full");
  command->add_flag("--padded", arguments->padded, "The plain path: padded batches and LibTorch's own operations.");
  command->add_flag("--breakdown", arguments->breakdown, "Print where the time goes, as a table, instead.");
  command->add_option("--config", arguments->config, "A configuration whose model section gives other sizes.");
  command->add_option("--device", arguments->device, "cpu, cuda, cuda:N or auto.")->capture_default_str();
  return arguments;
}

/// The batch where a run's loader puts it for a GPU: in page-locked memory.
void pin(Batch& batch) {
  const auto all = [](std::initializer_list<at::Tensor*> tensors) {
    for (at::Tensor* tensor : tensors) *tensor = tensor->pin_memory();
  };
  auto& targets = batch.targets;
  all({&targets.token_rows, &targets.token_ids, &targets.region_rows, &targets.region_features});
  if (batch.packed) {
    auto& inputs = *batch.packed;
    all({&inputs.token_ids, &inputs.text_starts, &inputs.region_features, &inputs.region_locations,
         &inputs.region_starts});
  } else {
    auto& inputs = batch.inputs;
    all({&inputs.token_ids, &inputs.text_mask, &inputs.region_features, &inputs.region_locations, &inputs.region_mask});
  }
}

/// As a run's loader would make it.
Batch batch_of(SyntheticBatch made, bool padded) {
  Batch batch;
  if (padded) {
    batch.inputs = std::move(made.inputs);
    batch.targets = std::move(made.targets);
  } else {
    batch.packed = packed(made.inputs);
    batch.targets = packed(made.targets, made.inputs);
  }
  return batch;
}

/// A model with random weights and a batch, on the device.
struct Bench {
  explicit Bench(const Arguments& given)
      : arguments(given),
        runtime(tune_cpu_runtime(given.threads)),
        device(parse_device(given.device)),
        copier(device),
        model(configured_model(given.config), 42) {
    SyntheticBatch made = synthetic_batch(model->options(), given.batch, given.lengths, 42);
    holds = description_of(made);
    host = batch_of(std::move(made), given.padded);
    model->recompute(given.recompute);
    model->to(device);
    if (device.is_cuda()) pin(host);
    copy();
  }

  /// The batch onto the device, as every step of a run has to do it: on a GPU beside the computation.
  void copy() {
    batch = host;
    copier.move(batch);
  }

  PretrainingLosses losses() const {
    return batch.packed ? pretraining_losses(*model, *batch.packed, batch.targets, {})
                        : pretraining_losses(*model, batch.inputs, batch.targets, {});
  }

  PairEmbeddings embeddings() const { return batch.packed ? model->embed(*batch.packed) : model->embed(batch.inputs); }

  /// Seconds of each call; on a GPU only their mean, for the host does not wait for it in between, as in a run.
  std::vector<double> time(const std::function<void()>& call) const {
    if (device.is_cpu()) return time_calls(arguments.steps, call);
    const auto all_done = [&] { c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index()); };
    return {time_together(arguments.steps, call, all_done)};
  }

  /// Times the calls, which must wait for nothing, and prints a line, or where their time went.
  void measure(const char* what, const std::function<void()>& call,
               const std::function<Json(double seconds)>& more) const {
    if (!arguments.breakdown) {
      const auto seconds = time(call);
      print(what, seconds, more(median(seconds)));
      return;
    }
    call();
    const double most = 1e12 * measured_peak_tflops(device, arguments.precision, /*size=*/2048);
    const Breakdown breakdown;
    for (int64_t i = 0; i < arguments.steps; ++i) call();
    std::fputs(breakdown.table(arguments.steps, most).c_str(), stdout);
  }

  void print(const char* what, const std::vector<double>& seconds, const Json& more) const {
    const double middle = median(seconds);
    Json line = {{"bench", what},
                 {"impl", "capture"},
                 {"batch", arguments.batch},
                 {"threads", runtime.threads},
                 {"device", arguments.device},
                 {"dtype", arguments.precision == Precision::float32 ? "fp32" : "bf16"},
                 {"lengths", arguments.lengths == TitleLengths::full ? "full" : "product1m"},
                 {"batches", host.packed ? "packed" : "padded"},
                 {"holds", holds},
                 {"parameters", parameter_count(model->options())},
                 {"official_parameters", official_parameter_count(model->options())},
                 {"steps", arguments.steps},
                 {"seconds_median", middle},
                 {"seconds_min", *std::min_element(seconds.begin(), seconds.end())},
                 {"seconds_max", *std::max_element(seconds.begin(), seconds.end())},
                 {"samples_per_s", static_cast<double>(arguments.batch) / middle},
                 {"peak_rss_mb", peak_memory()}};
    if (!device.is_cpu()) {
      const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
      line["peak_device_mb"] = stats.reserved_bytes[0].peak >> 20;
    }
    line.update(more);
    std::printf("%s\n", to_line(line).c_str());
  }

  Arguments arguments;
  CpuRuntime runtime;
  at::Device device;
  BatchCopier copier;
  HybridStreamModel model;
  Json holds;
  Batch host;
  Batch batch;  ///< on the device
};

void run_train(const Arguments& arguments) {
  Bench bench(arguments);
  Optimizer optimizer(named_parameters_of(*bench.model), {});
  PretrainingLosses result;
  const auto step = [&] {
    bench.copy();
    {
      const AutocastScope autocast(bench.device, arguments.precision);
      result = bench.losses();
    }
    result.total.backward();
    optimizer.step(1.0, result.total.detach());
    optimizer.clear_gradients();
    result.total.reset();  // and the graph with it
  };
  bench.measure("train", step, [&](double seconds) {
    const double tflops = 1e-12 * training_flops(bench.model->options(), {}, work_of(bench.host)) / seconds;
    const double peak = peak_tflops(bench.device, arguments.precision);
    const std::vector<double> losses = {result.masked_tokens.item<double>(), result.masked_regions.item<double>(),
                                        result.contrastive.item<double>()};
    return Json{{"losses", losses}, {"tflops", tflops}, {"mfu", tflops / peak}};
  });
}

void run_embed(const Arguments& arguments) {
  Bench bench(arguments);
  bench.model->eval();
  if (!arguments.padded && bench.device.is_cpu())
    bench.model->pack(arguments.precision == Precision::float32 ? at::kFloat : at::kBFloat16, PackedWeights::given_up);
  at::Tensor sum;
  const auto embed = [&] {
    const c10::InferenceMode inference;
    bench.copy();
    const AutocastScope autocast(bench.device, arguments.precision);
    sum = bench.embeddings().text_pooled.sum();
  };
  bench.measure("embed", embed, [&](double) { return Json{{"checksum", sum.item<double>()}}; });
}

}  // namespace

Benchmark add_train(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "One pretraining step: forward, backward, fused AdamW.");
  const auto arguments = add_arguments(command);
  command->add_option("--recompute", arguments->recompute, "Layers to compute again in the backward pass.")
      ->transform(one_of<Recompute>(
          {{"none", Recompute::none}, {"co_transformer", Recompute::co_transformer}, {"all", Recompute::all}}))
      ->type_name("TEXT")
      ->default_str("none");
  return {command, [arguments] { run_train(*arguments); }};
}

Benchmark add_embed(CLI::App& app) {
  CLI::App* command = app.add_subcommand("embed", "One embedding pass.");
  command->footer("Example: capture_bench embed --batch 64 --dtype bf16 --lengths product1m");
  return {command, [arguments = add_arguments(command)] { run_embed(*arguments); }};
}

}  // namespace capture
