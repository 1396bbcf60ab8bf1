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

namespace capture {

/// Paths are relative to the folder that the program runs in.
struct DataOptions {
  std::vector<std::string> train;       ///< shards, or folders of shards
  std::vector<std::string> validation;  ///< empty: no validation

  void visit(FieldVisitor& f);
};

/// Which validation loss decides which checkpoint is the best.
enum class BestMetric { loss, masked_tokens, masked_regions, contrastive };

struct TrainerOptions {
  int64_t epochs = 10;
  int64_t steps = 0;  ///< length of the run in optimisation steps; 0: epochs decide
  int64_t accumulation = 1;
  std::string device = "auto";
  Precision precision = Precision::float32;
  bool packed = true;  ///< on the CPU; see packs()
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
  int64_t profile_steps = 0;

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
  TrainerOptions trainer;
  DistributedOptions distributed;

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

/// Whether batches come without padding. On a GPU they are always padded.
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
