// A pretraining run, from a configuration to a run folder.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include "capture/distributed/process_group.h"
#include "capture/train/trainer.h"

namespace capture {

struct TrainRequest {
  TrainConfig config;
  std::filesystem::path output;
  std::string resume = "never";  ///< "auto", "never", or the path of a checkpoint or of a run folder
  std::filesystem::path init;    ///< weights to start from, where nothing is resumed; empty: drawn from the seed
  /// Makes what config.evaluation asks for; called once on every rank, before anything is written, with the sizes
  /// filled in and the configuration the same on all.
  std::function<GalleryEvaluation(const TrainConfig& config, const TrainingParts& parts, const ProcessGroup& group)>
      make_evaluation = {};
  /// From when on trainer.time_limit counts: before the processes wait for one another, if this is made before.
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

/// Opens everything, says what is wrong with it before anything is written, and trains.
///
/// On a CPU, with the same number of threads, a run that was killed at any moment and resumed repeats the uninterrupted
/// one bit for bit. A step with a loss or gradient that is not finite changes nothing and is counted; more than
/// trainer.max_bad_steps of them in a row are a UserError, as is everything wrong with the request.
TrainOutcome pretrain(const TrainRequest& request, const ProcessGroup& group = {});

}  // namespace capture
