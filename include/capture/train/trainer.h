// The training loop: steps, and what happens between them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "capture/base/progress.h"
#include "capture/data/loader.h"
#include "capture/train/bad_step.h"
#include "capture/train/best.h"
#include "capture/train/checkpoint_writer.h"
#include "capture/train/config.h"
#include "capture/train/gallery.h"
#include "capture/train/meter.h"
#include "capture/train/parts.h"
#include "capture/train/run_folder.h"
#include "capture/train/run_log.h"
#include "capture/train/stop_request.h"
#include "capture/train/time_limit.h"
#include "capture/train/train_step.h"

namespace capture {

/// How a run divides into steps. A step never crosses the end of an epoch, so an epoch's last one may be smaller.
struct RunLength {
  int64_t batches_per_epoch;  ///< on each process
  int64_t batches_per_step;
  int64_t steps_per_epoch;
  int64_t total_steps;
};

/// UserError when not even one batch is to be had.
RunLength length_of(const TrainConfig& config, int64_t training_samples, int64_t world_size);

/// A model's parameters under their full names, in its own order.
NamedTensors named_parameters_of(const HybridStreamModelImpl& model);

/// The files of a checkpoint, and the tensors in them.
std::vector<TensorFile> checkpoint_files(const HybridStreamModelImpl& model, const Optimizer& optimizer,
                                         const std::optional<WeightAverage>& average);

/// Why a run ended.
enum class RunEnd {
  complete,    ///< all steps are done
  signal,      ///< it was asked to
  time_limit,  ///< trainer.time_limit is near
  patience     ///< the best stood for trainer.patience measurements
};

struct TrainOutcome {
  int64_t step = 0;  ///< finished steps, of
  int64_t total_steps = 0;
  RunEnd end = RunEnd::complete;
  int signal = 0;  ///< the one, where one ended the run
  std::filesystem::path checkpoint;
};

/// What a run is told from outside the configuration.
struct TrainerSurroundings {
  GalleryEvaluation evaluation = {};                                               ///< none: no retrieval is measured
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();  ///< of trainer.time_limit
};

/// Everything it is given must outlive it.
class Trainer {
 public:
  /// Takes optimiser, meters and position from the checkpoint that `folder` starts at; `model` has its weights already.
  /// What rank 0 has of either, all others get. `initialized`: parameters that came from BERT weights. Writes nothing.
  Trainer(const TrainConfig& config, TrainingParts& parts, HybridStreamModel model,
          std::vector<std::string> initialized, RunFolder& folder, const ProcessGroup& group,
          TrainerSurroundings surroundings = {});

  /// Trains in the opened folder to the end, or until a signal (StopRequest), and leaves a checkpoint of the last
  /// finished step; what is to be measured then, and is not done yet, is left to the next run. A checkpoint that cannot
  /// be written is a warning, and a UserError when it is the last one. When a stop takes longer than
  /// trainer.stop_deadline_seconds, the process ends here, with 128 + the signal's number.
  TrainOutcome run();

 private:
  using Clock = std::chrono::steady_clock;

  struct Pending {
    int64_t step;
    int64_t samples;
    at::Tensor values;
  };

  struct Measurements {
    std::optional<std::array<double, 4>> losses = {};
    std::optional<GalleryFigures> figures = {};
  };

  void use_graphs();  // where there can be any
  void restore(const Checkpoint& checkpoint);
  void restore_best(const Json& state);
  void restore_average(const Checkpoint& checkpoint);
  /// The model that is validated and evaluated.
  HybridStreamModel& measured() { return average_ ? average_->model() : model_; }
  LoaderPlan plan() const;
  RunPosition position() const;
  bool is_due(int64_t interval) const;
  /// Whether this or another process stops, and so all do. `late`: on this one trainer.time_limit is near.
  bool is_to_stop(const StopRequest& stop, bool late);
  bool validation_is_due() const;
  bool evaluation_is_due() const;
  bool is_out_of_patience() const;
  StepBatches batches_of(int64_t step) const;

  TrainOutcome outcome() const;

  void take_step(Loader& loader);
  /// Logs, validates and saves what is due. Returns whether it took a while.
  bool after_step(const StopRequest& stop);
  /// A stop that came during such a while need not wait for another step.
  void stop_after_pause(const StopRequest& stop);
  void settle_pending();
  void log_window();
  /// Validates and evaluates, whatever is due: all of it or, when the run is to stop, nothing, and unmeasured_ says
  /// which. Returns whether this is the best so far. Where it fails, there is a checkpoint of the step first.
  bool measure(const StopRequest& stop, bool within_limit);
  Measurements take_measurements(const StopQuestion& stopping);
  /// What a stop left undone.
  void make_up_for_measurements(const StopRequest& stop);
  bool log_validation(const std::array<double, 4>& losses);
  bool log_evaluation(const GalleryFigures& figures);
  /// What a checkpoint writes, near enough.
  int64_t checkpoint_bytes() const;
  /// All processes call it at the same step.
  void save(bool is_best);
  std::vector<TensorFile> files() const { return checkpoint_files(*model_, optimizer_, average_); }
  void begin_save(CheckpointWriter& writer, bool is_best);  // on rank 0
  /// What is done is not to be lost with a measurement that failed, here or elsewhere, for this reason.
  void save_unmeasured(const std::string& reason);
  /// Returns, on all processes together, when nothing is being written.
  void wait_for_writer();
  /// Whether rank 0 has a checkpoint of the step in the run folder.
  bool is_kept(int64_t step) const;
  void notice_failed_save();
  void finish_saves();
  [[noreturn]] void give_up(int signal) const;

  const TrainConfig& config_;
  TrainingParts& parts_;
  HybridStreamModel model_;
  std::vector<std::string> initialized_;
  RunFolder& folder_;
  const ProcessGroup& group_;
  Optimizer optimizer_;
  TrainStep train_step_;
  std::optional<WeightAverage> average_;  // with ema.decay
  RunLength length_;
  std::optional<RunLog> log_;  // on rank 0, as is
  std::optional<CheckpointWriter> writer_;

  int64_t step_ = 0;         // finished
  double rate_ = 0;          // of the last step
  bool unmeasured_ = false;  // what was due after the last step is not done
  int64_t saved_ = -1;       // the last step of which a checkpoint was begun
  int stopped_by_ = 0;       // why the run stops: the number of a signal, or one for the time limit; 0: it does not
  Meter meter_;
  std::vector<Pending> pending_;  // finished steps whose values nobody has looked at
  BestSoFar best_;
  TimeLimit time_limit_;
  GalleryEvaluation evaluation_;
  double flops_ = 0;  // since window_start_, on this process
  double peak_tflops_ = 0;
  std::string note_;  // beside the progress bar
  Clock::time_point window_start_;
};

}  // namespace capture
