// The loader: how many samples a second, beside what the machine can copy in memory and read from its disk.
#include <ATen/ATen.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>

#include "bench.h"
#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/memory.h"
#include "capture/base/trace.h"
#include "capture/data/loader.h"
#include "capture/tensor/runtime.h"
#include "capture/text/tokenizer.h"
#include "common/choice.h"
#include "load_data.h"
#include "memory_copy.h"

namespace capture {

namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  std::vector<std::string> data;
  std::string vocabulary;
  std::string scratch;
  int64_t samples = 8192;
  ShardLayout layout{.feature_width = 2048};
  LoaderOptions loader;
  bool packed = false;
  bool cold = false;
  double seconds = 5;
  int64_t compute = 0;
  std::string trace;
};

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds of processor time that this process has used.
double processor_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::vector<std::filesystem::path> files_of(const Dataset& dataset) {
  std::vector<std::filesystem::path> files;
  for (const Shard& shard : dataset.shards()) files.push_back(shard.path());
  return files;
}

const at::Tensor& features_of(const Batch& batch) {
  return batch.packed ? batch.packed->region_features : batch.inputs.region_features;
}

struct Measured {
  double samples = 0;
  double tokens = 0;   ///< places for them in the batches
  double padding = 0;  ///< of these, empty ones
  double bytes = 0;    ///< of features in the batches, masked ones' copies included
  double seconds = 0;
  double processor = 0;       ///< seconds of it, over all threads
  double anonymous = 0;       ///< MiB of memory, the most
  std::vector<double> rates;  ///< samples a second in each epoch

  void add(const Batch& batch) {
    samples += static_cast<double>(batch.samples.size());
    bytes += static_cast<double>(features_of(batch).nbytes() + batch.targets.region_features.nbytes());
    if (batch.packed) {
      tokens += static_cast<double>(batch.packed->token_ids.numel());
    } else {
      tokens += static_cast<double>(batch.inputs.token_ids.numel());
      padding += static_cast<double>(batch.inputs.token_ids.eq(0).sum().item<int64_t>());
    }
  }
};

/// One epoch, its batches used as `compute` says and let go of.
void take_epoch(Loader& loader, Measured& measured, const at::Tensor& weights, Trace* trace) {
  const auto start = Clock::now();
  const double processor = processor_time();
  const double before = measured.samples;
  for (int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const std::optional<Batch> batch = loader.next();
    measured.add(*batch);
    if (!weights.defined()) continue;
    const TraceSpan span(trace, "compute", i);
    at::matmul(features_of(*batch).to(at::kFloat), weights);
  }
  const double seconds = since(start);
  measured.seconds += seconds;
  measured.processor += processor_time() - processor;
  measured.rates.push_back((measured.samples - before) / seconds);
  measured.anonymous = std::max(measured.anonymous, static_cast<double>(anonymous_memory()) / (1 << 20));
}

Measured measure(const Arguments& arguments, const Dataset& dataset, const Tokenizer& tokenizer) {
  if (arguments.cold) {
    for (const auto& file : files_of(dataset)) drop_cached(file);
  }
  Trace trace;
  Trace* const traced = arguments.trace.empty() ? nullptr : &trace;
  if (traced != nullptr) trace.name_thread("main");
  Loader loader(dataset, tokenizer, arguments.loader, MaskingOptions{},
                {.epochs = arguments.cold ? 1 : 1 << 20, .packed = arguments.packed, .trace = traced});
  at::Tensor weights;
  if (arguments.compute > 0) weights = at::rand({dataset.feature_width(), arguments.compute});
  Measured measured;
  if (!arguments.cold) {
    take_epoch(loader, measured, weights, traced);
    measured = {};
  }
  do {
    take_epoch(loader, measured, weights, traced);
  } while (!arguments.cold && measured.seconds < arguments.seconds);
  if (traced != nullptr) trace.write(arguments.trace);
  return measured;
}

void print(const Arguments& arguments, const Dataset& dataset, const Measured& measured, double yardstick) {
  const auto read = static_cast<double>(dataset.shards().front().header().record_bytes);
  const double written = measured.bytes / measured.samples;
  const double rate = median(measured.rates);
  const double moved = rate * (arguments.cold ? read : read + written);
  const char* const rate_name = arguments.cold ? "sequential_read_gb_per_s" : "memcpy_gb_per_s";
  const char* const share_name = arguments.cold ? "share_of_sequential_read" : "share_of_memcpy";
  const Json line = {{"bench", arguments.cold ? "load cold" : "load"},
                     {"samples", dataset.size()},
                     {"feature_width", dataset.feature_width()},
                     {"batch", arguments.loader.batch_size},
                     {"workers", arguments.loader.workers},
                     {"epochs", measured.rates.size()},
                     {"samples_per_s", rate},
                     {"processor_us_per_sample", 1e6 * measured.processor / measured.samples},
                     {"bytes_read_per_sample", read},
                     {"bytes_written_per_sample", written},
                     {"gb_per_s", moved / 1e9},
                     {rate_name, yardstick / 1e9},
                     {share_name, moved / yardstick},
                     {"padding_share", measured.padding / measured.tokens},
                     {"anonymous_memory_mib", measured.anonymous}};
  std::printf("%s\n", to_line(line).c_str());
}

void run_load(const Arguments& arguments) {
  tune_cpu_runtime(1);
  const ScratchFolder scratch(arguments.scratch);
  std::vector<std::filesystem::path> paths(arguments.data.begin(), arguments.data.end());
  std::filesystem::path vocabulary = arguments.vocabulary;
  if (paths.empty()) {
    paths = {scratch / "pairs.capshard"};
    write_pairs(paths[0], arguments.layout, arguments.samples);
  }
  if (vocabulary.empty()) {
    vocabulary = scratch / "vocab.txt";
    write_vocabulary(vocabulary);
  }
  const Dataset dataset(paths);
  const auto tokenizer = load_tokenizer({.file = vocabulary.string()});
  const int64_t threads = std::max<int64_t>(1, arguments.loader.workers);
  // Twice, because other programs may run beside this one: the better figure is the machine's. Not after a cold run,
  // whose maps keep their pages in the page cache.
  const auto yardstick = [&] {
    return arguments.cold ? sequential_read_rate(files_of(dataset)) : memory_copy_rate(threads);
  };
  double best = yardstick();
  if (arguments.cold) best = std::max(best, yardstick());
  const Measured measured = measure(arguments, dataset, *tokenizer);
  if (!arguments.cold) best = std::max(best, yardstick());
  print(arguments, dataset, measured, best);
}

void add_options(CLI::App& command, Arguments& arguments) {
  LoaderOptions& loader = arguments.loader;
  const auto number = [&](const char* name, int64_t& value, const char* help, int64_t low, int64_t high) {
    command.add_option(name, value, help)->check(CLI::Range(low, high))->capture_default_str();
  };
  command.add_option("--data", arguments.data, "Shards or folders of them; without it, invented pairs are written.");
  command.add_option("--vocabulary", arguments.vocabulary, "WordPiece vocabulary; without it, one of ideographs.");
  command.add_option(
      "--scratch", arguments.scratch,
      "Folder to write invented pairs in, which are removed at the end; without it, the system's for temporary files.");
  number("--samples", arguments.samples, "Invented pairs.", 1, 100'000'000);
  number("--feature-width", arguments.layout.feature_width, "Numbers a region of theirs.", 1, 65536);
  number("--regions", arguments.layout.max_regions, "Regions of each.", 1, 4096);
  command.add_option("--feature-type", arguments.layout.feature_type, "How they are stored.")
      ->transform(one_of(std::map<std::string, FeatureType>{
          {"float16", FeatureType::float16}, {"float32", FeatureType::float32}, {"int8", FeatureType::int8}}))
      ->type_name("TEXT")
      ->default_str("float16");
  number("--batch", loader.batch_size, "Pairs a batch.", 1, 65536);
  number("--workers", loader.workers, "Threads that fill batches.", 0, 256);
  number("--prefetch", loader.prefetch, "Batches filled ahead.", 1, 1024);
  number("--bucket", loader.bucket_batches, "Batches sorted together by title length.", 1, 65536);
  command.add_flag("--half", loader.half_features, "Hand float16 features over as they are stored.");
  command.add_flag("--packed", arguments.packed, "Batches without padding.");
  command.add_flag("--cold", arguments.cold, "Read one epoch from the disk, with nothing of it in the page cache.");
  command.add_option("--seconds", arguments.seconds, "How long to measure, in whole epochs.")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  number("--compute", arguments.compute, "Multiply each batch's features by a matrix of so many columns; 0: do not.", 0,
         65536);
  command.add_option("--trace", arguments.trace, "Write what each thread does when, for ui.perfetto.dev.");
}

}  // namespace

Benchmark add_load(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("load", "The loader: batches out of shards, beside memcpy or reading the disk.");
  command->footer("Example: capture_bench load --workers 2 --seconds 10");
  auto arguments = std::make_shared<Arguments>();
  add_options(*command, *arguments);
  return {command, [arguments] { run_load(*arguments); }};
}

}  // namespace capture
