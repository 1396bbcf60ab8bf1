#include "capture/train/trainer.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/data/sampler.h"
#include "capture/model/weights.h"
#include "capture/tensor/safetensors.h"
#include "capture/train/flops.h"
#include "capture/train/machine.h"
#include "capture/train/profile.h"

namespace capture {

namespace {

std::string name_of(BestMetric metric) {
  if (metric == BestMetric::mean_average_precision) return "mAP@10";
  return Meter::kNames[static_cast<size_t>(metric)];
}

/// A fingerprint of what the metric is measured on.
std::string data_of(BestMetric metric, const TrainingParts& parts, const GalleryEvaluation& evaluation) {
  if (metric == BestMetric::mean_average_precision) return evaluation.fingerprint;
  return parts.validation ? parts.validation->fingerprint() : "";
}

/// Beside the numbers of signals, of which none that stops a run is so small.
constexpr int kOutOfTime = 1;

/// A kill may come between a checkpoint and what points at it.
void mend_pointer(const CheckpointStore& checkpoints, const BestSoFar& best) {
  const auto& place = best.place();
  if (!place || checkpoints.best() == place->step || !is_there(checkpoints.path_of(place->step))) return;
  checkpoints.set_best(place->step);
}

double peak_of(const TrainerOptions& options, at::Device device) {
  return options.peak_tflops > 0 ? options.peak_tflops : peak_tflops(device, options.precision);
}

}  // namespace

RunLength length_of(const TrainConfig& config, int64_t training_samples, int64_t world_size) {
  const auto& loader = config.loader;
  const int64_t share =
      Sampler(training_samples, 0, loader.shuffle, 0, world_size, loader.drop_last ? Remainder::drop : Remainder::wrap)
          .size();
  RunLength length{};
  length.batches_per_step = config.trainer.accumulation;
  length.batches_per_epoch = (share + (loader.drop_last ? 0 : loader.batch_size - 1)) / loader.batch_size;
  length.steps_per_epoch = (length.batches_per_epoch + length.batches_per_step - 1) / length.batches_per_step;
  if (length.batches_per_epoch == 0) {
    throw UserError({.what = "loader.drop_last leaves no batch: each process has " + std::to_string(share) +
                             " samples for batches of " + std::to_string(loader.batch_size),
                     .where = "the configuration",
                     .hint = "lower loader.batch_size, or set loader.drop_last to false"});
  }
  length.total_steps = config.trainer.steps > 0 ? config.trainer.steps : config.trainer.epochs * length.steps_per_epoch;
  return length;
}

NamedTensors named_parameters_of(const HybridStreamModelImpl& model) {
  NamedTensors tensors;
  for (const auto& item : model.named_parameters()) tensors.emplace_back(item.key(), item.value());
  return tensors;
}

Trainer::Trainer(const TrainConfig& config, TrainingParts& parts, HybridStreamModel model,
                 std::vector<std::string> initialized, RunFolder& folder, const ProcessGroup& group,
                 TrainerSurroundings surroundings)
    : config_(config),
      parts_(parts),
      model_(std::move(model)),
      initialized_(std::move(initialized)),
      folder_(folder),
      group_(group),
      optimizer_(named_parameters_of(*model_), config.optimizer, initialized_),
      train_step_(model_, optimizer_, config, parts.device, group),
      length_(length_of(config, pairs_an_epoch(parts.training, config.loader), group.world_size())),
      best_(name_of(config.trainer.best_metric), config.trainer.best_metric == BestMetric::mean_average_precision,
            data_of(config.trainer.best_metric, parts, surroundings.evaluation)),
      time_limit_(config.trainer.time_limit, surroundings.start, checkpoint_bytes()),
      evaluation_(std::move(surroundings.evaluation)) {
  if (config.trainer.cuda_graph) use_graphs();
  if (folder.start()) restore(*folder.start());
  group_.broadcast(optimizer_.parameters());
  if (config.ema.decay == 0) return;
  average_.emplace(model_, config.ema.decay);
  if (folder.start()) restore_average(*folder.start());
}

void Trainer::use_graphs() {
  if (!parts_.device.is_cuda() || !group_.alone()) {
    log::warn(
        "trainer.cuda_graph is for one process on one GPU: these steps are computed without graphs{}",
        parts_.device.is_cuda() && config_.trainer.packed ? ", and of padded batches; without it, of packed ones" : "");
    return;
  }
  const int64_t in_data = parts_.training.max_regions(), most = config_.loader.max_regions;
  train_step_.use_graphs(open_cuda_graphs(parts_.device),
                         {.max_regions = most > 0 ? std::min(most, in_data) : in_data});
}

void Trainer::restore(const Checkpoint& checkpoint) {
  std::vector<at::Tensor> moments;
  for (const auto& [name, tensor] : optimizer_.state()) moments.push_back(tensor);
  if (group_.rank() == 0) optimizer_.load_state(SafetensorsFile(checkpoint.optimizer()));
  group_.broadcast(moments);
  step_ = checkpoint.step;
  meter_.load_state(checkpoint.state.at("meter"));
  restore_best(checkpoint.state.at("best"));
  unmeasured_ = checkpoint.state.value("unmeasured", false);
  if (checkpoint.state.at("data") != parts_.training.fingerprint()) {
    log::warn(
        "data.train is not what the checkpoint was trained on: from here on the run differs from the "
        "uninterrupted one");
  }
}

/// Patience must not count what was measured on other data, nor "best" point at what is in another run's folder.
void Trainer::restore_best(const Json& state) {
  if (best_.load_state(state)) {
    log::info("{} was measured on other data before step {}: the best so far, and trainer.patience's count, begin anew",
              best_.metric(), step_);
    return;
  }
  const auto& place = best_.place();
  if ((!place && best_.others_since() == 0) || is_kept(place ? place->step : step_)) return;
  log::info("the best {} so far is not in this run folder ({}): it, and trainer.patience's count, begin anew",
            best_.metric(), place ? "step " + std::to_string(place->step) : "it was another run's");
  best_.forget();
}

void Trainer::restore_average(const Checkpoint& checkpoint) {
  if (group_.rank() == 0) {
    if (is_there(checkpoint.average())) {
      load_weights(SafetensorsFile(checkpoint.average()), *average_->model());
    } else {
      log::warn(
          "the checkpoint keeps no average of the weights (ema.decay was 0): it starts from the weights of step {}",
          step_);
    }
  }
  group_.broadcast(average_->model()->parameters());
}

LoaderPlan Trainer::plan() const {
  const int64_t epochs = (length_.total_steps + length_.steps_per_epoch - 1) / length_.steps_per_epoch;
  const int64_t first = step_ / length_.steps_per_epoch;
  return {.first_epoch = first,
          .first_batch = step_ % length_.steps_per_epoch * length_.batches_per_step,
          .epochs = epochs - first,
          .rank = group_.rank(),
          .world_size = group_.world_size(),
          .pin_memory = parts_.device.is_cuda(),
          .packed = packs(config_, parts_.device)};
}

RunPosition Trainer::position() const {
  return {step_, static_cast<double>(step_) / static_cast<double>(length_.steps_per_epoch)};
}

bool Trainer::is_due(int64_t interval) const {
  return step_ % (interval > 0 ? interval : length_.steps_per_epoch) == 0 || step_ == length_.total_steps;
}

bool Trainer::validation_is_due() const {
  return parts_.validation && is_due(config_.trainer.validation_interval);
}

bool Trainer::evaluation_is_due() const {
  return evaluation_.measure && is_due(config_.evaluation.interval);
}

bool Trainer::is_out_of_patience() const {
  return config_.trainer.patience > 0 && best_.others_since() >= config_.trainer.patience;
}

StepBatches Trainer::batches_of(int64_t step) const {
  const int64_t first = (step - 1) % length_.steps_per_epoch * length_.batches_per_step;
  return {.step = step,
          .epoch = (step - 1) / length_.steps_per_epoch,
          .first = first,
          .count = std::min(length_.batches_per_step, length_.batches_per_epoch - first)};
}

TrainOutcome Trainer::run() {
  const StopRequest stop;
  const StopDeadline deadline(stop, config_.trainer.stop_deadline_seconds, [this](int signal) { give_up(signal); });
  if (group_.rank() == 0) {
    mend_pointer(folder_.checkpoints(), best_);
    log_.emplace(folder_.path(), step_, !unmeasured_);
    writer_.emplace(folder_.checkpoints(), config_.trainer.checkpoint_in_background);
  }
  make_up_for_measurements(stop);
  if (step_ < length_.total_steps && stopped_by_ == 0 && !is_out_of_patience()) {
    if (log_) peak_tflops_ = peak_of(config_.trainer, parts_.device);
    StepProfiler profiler(group_.rank() == 0 ? config_.trainer.profile_steps : 0, parts_.device, folder_.trace());
    LoaderPlan loader_plan = plan();
    loader_plan.trace = profiler.trace();
    Loader loader(parts_.training, *parts_.tokenizer, config_.loader, config_.masking, loader_plan);
    TORCH_INTERNAL_ASSERT(loader.batches_per_epoch() == length_.batches_per_epoch);
    if (writer_) writer_->prepare(files());  // while the loader reads the first batches
    const int64_t pairs = config_.loader.batch_size * length_.batches_per_step * group_.world_size();
    ProgressBar progress("training", length_.total_steps * pairs, "samples");
    window_start_ = Clock::now();
    while (step_ < length_.total_steps && stopped_by_ == 0 && !is_out_of_patience()) {
      const auto begin = Clock::now();
      profiler.step([&] { take_step(loader); });
      notice_failed_save();
      is_to_stop(stop, time_limit_.is_near(Clock::now()));
      if (group_.rank() == 0) progress.update(step_ * pairs, note_);
      const bool paused = after_step(stop);
      time_limit_.add_step(begin, Clock::now());
      if (!paused) continue;
      progress.clear();
      stop_after_pause(stop);
    }
  }
  finish_saves();
  return outcome();
}

TrainOutcome Trainer::outcome() const {
  TrainOutcome outcome{.step = step_,
                       .total_steps = length_.total_steps,
                       .end = RunEnd::complete,
                       .signal = 0,
                       .checkpoint = folder_.checkpoints().path_of(step_)};
  if (step_ >= length_.total_steps && !unmeasured_) return outcome;
  if (is_out_of_patience() && !unmeasured_) {
    outcome.end = RunEnd::patience;
  } else if (stopped_by_ == kOutOfTime) {
    outcome.end = RunEnd::time_limit;
  } else {
    outcome.end = RunEnd::signal;
    outcome.signal = stopped_by_;
  }
  return outcome;
}

void Trainer::take_step(Loader& loader) {
  const StepBatches wanted = batches_of(step_ + 1);
  std::vector<Batch> batches;
  int64_t samples = 0;
  while (static_cast<int64_t>(batches.size()) < wanted.count) {
    auto batch = loader.next();
    TORCH_INTERNAL_ASSERT(batch && batch->index == wanted.first + static_cast<int64_t>(batches.size()));
    samples += batch->pairs;
    flops_ += training_flops(config_.model, config_.objective, work_of(*batch));
    batches.push_back(std::move(*batch));
  }
  const double factor = learning_rate_factor(config_.schedule, step_, length_.total_steps);
  rate_ = config_.optimizer.learning_rate * factor;
  ++step_;
  pending_.push_back({step_, samples, train_step_.run(std::move(batches), step_ - 1, factor)});
  if (average_) average_->update(step_);
  // On a CPU the values are there already; on a GPU they are fetched when somebody needs them.
  if (parts_.device.is_cpu()) settle_pending();
}

bool Trainer::is_to_stop(const StopRequest& stop, bool late) {
  int own = stop.signal();
  if (own == 0 && late) own = kOutOfTime;
  stopped_by_ = group_.alone() ? own : group_.gather(at::full({1}, own, at::kInt)).max().item<int>();
  return stopped_by_ != 0;
}

bool Trainer::after_step(const StopRequest& stop) {
  const bool last = step_ == length_.total_steps;
  const bool logs = step_ % config_.trainer.log_interval == 0 || last;
  const bool measures = validation_is_due() || evaluation_is_due();
  const bool saves = stopped_by_ != 0 || is_due(config_.trainer.checkpoint_interval);
  if (!logs && !measures && !saves) return false;

  settle_pending();
  if (logs) log_window();
  const auto paused = Clock::now();
  const bool improved = measures && measure(stop, /*within_limit=*/true);
  if (saves || stopped_by_ != 0 || improved || is_out_of_patience()) save(improved);
  window_start_ += Clock::now() - paused;
  return measures || saves;
}

void Trainer::stop_after_pause(const StopRequest& stop) {
  if (stopped_by_ != 0 || step_ == length_.total_steps || is_out_of_patience()) return;
  if (is_to_stop(stop, time_limit_.is_near(Clock::now())) && saved_ != step_) save(/*is_best=*/false);
}

}  // namespace capture
