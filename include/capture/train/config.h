// Everything a pretraining run can be told, as one tree of options.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

#include "capture/base/fields.h"
#include "capture/data/loader.h"
#include "capture/data/masking.h"
#include "capture/distributed/options.h"
#include "capture/model/options.h"
#include "capture/objectives/pretraining.h"
#include "capture/tensor/device.h"
#include "capture/text/tokenizer.h"
#include "capture/train/optimizer.h"
#include "capture/train/schedule.h"
#include "capture/train/weight_average.h"

namespace capture {

/// Paths are relative to the folder that the program runs in.
struct DataOptions {
  std::vector<std::string> train;       ///< shards, or folders of shards
  std::vector<std::string> validation;  ///< empty: no validation

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

/// Retrieval measured now and then during training, on a gallery small enough for that.
struct GalleryOptions {
  std::vector<std::string> gallery;  ///< shards, or folders of shards; empty: no retrieval
  std::vector<std::string> queries;
  std::string recipe = "pre.sum";
  int64_t interval = 0;  ///< steps; 0: after every epoch

  bool wanted() const { return !gallery.empty(); }
  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

/// What decides which checkpoint is the best: a validation loss, or the strict mAP@10 of the retrieval above.
enum class BestMetric { loss, masked_tokens, masked_regions, contrastive, mean_average_precision };

struct TrainerOptions {
  int64_t epochs = 10;
  int64_t steps = 0;  ///< length of the run in optimisation steps; 0: epochs decide
  int64_t accumulation = 1;
  std::string device = "auto";
  Precision precision = Precision::float32;
  bool packed = true;  ///< see packs()
  int64_t threads = 0;
  int64_t seed = 42;  ///< of initial weights and dropout; the loader has its own, of order and masks
  int64_t log_interval = 10;
  int64_t validation_interval = 0;
  int64_t checkpoint_interval = 0;
  bool checkpoint_in_background = true;
  int64_t keep_last = 2;
  BestMetric best_metric = BestMetric::loss;
  int64_t max_bad_steps = 10;
  double stop_deadline_seconds = 0;
  Recompute recompute = Recompute::none;
  bool cuda_graph = false;  ///< see StepGraphs
  int64_t profile_steps = 0;
  int64_t patience = 0;    ///< measurements of best_metric without a better one that end the run; 0: none
  double time_limit = 0;   ///< minutes from the start of the program; 0: none
  double peak_tflops = 0;  ///< of one device, to hold the throughput against; 0: known or measured

  void visit(FieldVisitor& f);
};

struct TrainConfig {
  HybridStreamModelOptions model;
  TokenizerOptions tokenizer;
  DataOptions data;
  LoaderOptions loader;
  MaskingOptions masking;
  PretrainingObjectiveOptions objective;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  AverageOptions ema;
  GalleryOptions evaluation;
  TrainerOptions trainer;
  DistributedOptions distributed;

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

/// Whether batches come without padding. On a GPU with cuda_graph they never do.
bool packs(const TrainConfig& config, at::Device device);

/// How a key may change between a checkpoint and the run that goes on from it.
enum class ResumeEffect {
  none,     ///< the numbers stay the same
  numbers,  ///< the run goes on, but no longer repeats the uninterrupted one
  weights,  ///< the checkpoint no longer means what it says: refused
};

/// `key`: a full path, "loader.workers".
ResumeEffect resume_effect(const std::string& key);

}  // namespace capture
