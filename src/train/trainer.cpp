#include "capture/train/trainer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/data/sampler.h"
#include "capture/model/weights.h"
#include "capture/tensor/safetensors.h"
#include "capture/train/profile.h"

namespace capture {

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
                 std::vector<std::string> initialized, RunFolder& folder, const ProcessGroup& group)
    : config_(config),
      parts_(parts),
      model_(std::move(model)),
      initialized_(std::move(initialized)),
      folder_(folder),
      group_(group),
      optimizer_(named_parameters_of(*model_), config.optimizer, initialized_),
      train_step_(model_, optimizer_, config, parts.device, group),
      copier_(parts.device),
      length_(length_of(config, pairs_an_epoch(parts.training, config.loader), group.world_size())) {
  if (folder.start()) restore(*folder.start());
  group_.broadcast(optimizer_.parameters());
}

void Trainer::restore(const Checkpoint& checkpoint) {
  std::vector<at::Tensor> moments;
  for (const auto& [name, tensor] : optimizer_.state()) moments.push_back(tensor);
  if (group_.rank() == 0) optimizer_.load_state(SafetensorsFile(checkpoint.optimizer()));
  group_.broadcast(moments);
  step_ = checkpoint.step;
  meter_.load_state(checkpoint.state.at("meter"));
  if (const Json& best = checkpoint.state.at("best"); !best.is_null()) {
    best_ = Best{best.at("value").get<double>(), best.at("step").get<int64_t>()};
  }
  if (checkpoint.state.at("data") != parts_.training.fingerprint()) {
    log::warn(
        "data.train is not what the checkpoint was trained on: from here on the run differs from the "
        "uninterrupted one");
  }
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

TrainOutcome Trainer::run() {
  const StopRequest stop;
  const StopDeadline deadline(stop, config_.trainer.stop_deadline_seconds, [this](int signal) { give_up(signal); });
  if (group_.rank() == 0) {
    log_.emplace(folder_.path(), step_);
    writer_.emplace(folder_.checkpoints(), config_.trainer.checkpoint_in_background);
  }
  int signal = 0;
  if (step_ < length_.total_steps) {
    StepProfiler profiler(group_.rank() == 0 ? config_.trainer.profile_steps : 0, parts_.device,
                          folder_.path() / "trace.json");
    LoaderPlan loader_plan = plan();
    loader_plan.trace = profiler.trace();
    Loader loader(parts_.training, *parts_.tokenizer, config_.loader, config_.masking, loader_plan);
    TORCH_INTERNAL_ASSERT(loader.batches_per_epoch() == length_.batches_per_epoch);
    const int64_t pairs = config_.loader.batch_size * length_.batches_per_step * group_.world_size();
    ProgressBar progress("training", length_.total_steps * pairs, "samples");
    window_start_ = Clock::now();
    while (step_ < length_.total_steps && signal == 0) {
      profiler.step([&] { take_step(loader); });
      notice_failed_save();
      signal = signal_of_any(stop);
      if (group_.rank() == 0) progress.update(step_ * pairs, note_);
      if (after_step(signal != 0)) progress.clear();
    }
  }
  finish_saves();
  return {step_, length_.total_steps, step_ < length_.total_steps ? signal : 0, folder_.checkpoints().path_of(step_)};
}

void Trainer::take_step(Loader& loader) {
  const int64_t first = step_ % length_.steps_per_epoch * length_.batches_per_step;
  const int64_t count = std::min(length_.batches_per_step, length_.batches_per_epoch - first);
  std::vector<Batch> batches;
  int64_t samples = 0;
  while (static_cast<int64_t>(batches.size()) < count) {
    auto batch = loader.next();
    TORCH_INTERNAL_ASSERT(batch && batch->index == first + static_cast<int64_t>(batches.size()));
    samples += static_cast<int64_t>(batch->samples.size()) * group_.world_size();
    copier_.move(*batch);
    batches.push_back(std::move(*batch));
  }
  const double factor = learning_rate_factor(config_.schedule, step_, length_.total_steps);
  rate_ = config_.optimizer.learning_rate * factor;
  ++step_;
  pending_.push_back({step_, samples, train_step_.run(batches, step_ - 1, factor)});
  // On a CPU the values are there already; on a GPU they are fetched when somebody needs them.
  if (parts_.device.is_cpu()) settle_pending();
}

void Trainer::settle_pending() {
  for (const auto& [step, samples, values] : pending_) {
    const at::Tensor host = values.cpu();
    const float* numbers = host.const_data_ptr<float>();
    Meter::Values doubles;
    std::copy_n(numbers, doubles.size(), doubles.begin());
    if (meter_.add(doubles, samples)) continue;
    log::warn("step {}: loss {}, gradient norm {}; the step is skipped ({} in a row)", step, doubles.front(),
              doubles.back(), meter_.skipped_in_a_row());
    if (meter_.skipped_in_a_row() <= config_.trainer.max_bad_steps) continue;
    throw UserError({.what = std::to_string(meter_.skipped_in_a_row()) +
                             " steps in a row had a loss or gradient that is not finite; the last was step " +
                             std::to_string(step),
                     .allowed = "trainer.max_bad_steps = " + std::to_string(config_.trainer.max_bad_steps),
                     .hint = "lower optimizer.learning_rate, lengthen the warm-up, or check the data with "
                             "`capture_data verify`; then run again with --resume auto"});
  }
  pending_.clear();
}

int Trainer::signal_of_any(const StopRequest& stop) const {
  if (group_.alone()) return stop.signal();
  return group_.gather(at::full({1}, stop.signal(), at::kInt)).max().item<int>();
}

bool Trainer::after_step(bool stopping) {
  const bool last = step_ == length_.total_steps;
  const bool logs = step_ % config_.trainer.log_interval == 0 || last;
  const bool validates = parts_.validation && is_due(config_.trainer.validation_interval);
  const bool saves = stopping || is_due(config_.trainer.checkpoint_interval);
  if (!logs && !validates && !saves) return false;

  settle_pending();
  if (logs) log_window();
  const auto paused = Clock::now();
  const bool improved = validates && log_validation();
  if (saves || improved) save(improved);
  window_start_ += Clock::now() - paused;
  return validates || saves || improved;
}

void Trainer::log_window() {
  const double seconds = std::chrono::duration<double>(Clock::now() - window_start_).count();
  if (log_) log_->training(position(), rate_, meter_, seconds);
  note_ = fmt::format("loss {:.4f} epoch {:.2f}", meter_.mean_loss(), position().epoch);
  meter_.reset();
  window_start_ = Clock::now();
}

bool Trainer::log_validation() {
  const auto losses = validate(model_, *parts_.validation, *parts_.tokenizer, config_, parts_.device, group_);
  const double value = losses[static_cast<size_t>(config_.trainer.best_metric)];
  const bool improved = std::isfinite(value) && (!best_ || value < best_->value);
  if (improved) best_ = Best{value, step_};
  if (log_) {
    log_->validation(position(), losses);
    log::info("step {}: validation loss {:.4f} (tokens {:.4f}, regions {:.4f}, contrastive {:.4f}){}", step_, losses[0],
              losses[1], losses[2], losses[3], improved ? ", the best so far" : "");
  }
  return improved;
}

void Trainer::save(bool is_best) {
  if (!writer_) return;
  if (writer_->is_busy()) log::info("step {}: waiting for the checkpoint before to reach the disk", step_);
  writer_->wait();
  notice_failed_save();
  Json best;
  if (best_) best = {{"value", best_->value}, {"step", best_->step}};
  writer_->save({.step = step_,
                 .files = {{"model.safetensors", named_parameters_of(*model_), model_metadata(*model_)},
                           {"optimizer.safetensors", optimizer_.state()}},
                 .state = {{"epoch", position().epoch},
                           {"meter", meter_.state()},
                           {"best", best},
                           {"data", parts_.training.fingerprint()},
                           {"initialized", initialized_},
                           {"world_size", group_.world_size()},
                           {"config", to_json(config_)}},
                 .is_best = is_best,
                 .keep_last = config_.trainer.keep_last,
                 .first = [this] { log_->sync(); }});
}

void Trainer::notice_failed_save() {
  if (!writer_) return;
  if (const auto failure = writer_->take_failure()) {
    log::warn("no checkpoint of step {}: {}; training goes on, and the next one is tried when it is due", failure->step,
              failure->what);
  }
}

/// Every process ends together: a launcher that sees one end may end the others, with the last checkpoint half-written.
/// However long it takes, the others keep hearing that it is not done yet.
void Trainer::finish_saves() {
  at::Tensor busy = at::ones({});
  while (busy.item<float>() > 0) {
    if (writer_) busy.fill_(writer_->wait_for(std::chrono::seconds(1)) ? 0.0 : 1.0);
    group_.broadcast({busy});
  }
  if (writer_) {
    if (const auto failure = writer_->take_failure()) {
      throw UserError(
          {.what = "the run ends after step " + std::to_string(step_) + " without a checkpoint of it: " + failure->what,
           .hint = "then run again with --resume auto"});
    }
  }
  group_.barrier();
}

void Trainer::give_up(int signal) const {
  const auto saved = writer_ ? writer_->last_saved() : std::nullopt;
  log::warn(
      "{} seconds after signal {} (trainer.stop_deadline_seconds) the step in flight and its checkpoint are not done: "
      "ending now; the last complete checkpoint stands{}; go on with --resume auto",
      config_.trainer.stop_deadline_seconds, signal,
      saved ? " (" + folder_.checkpoints().path_of(*saved).string() + ")" : "");
  log::default_logger()->flush();
  std::_Exit(128 + signal);
}

}  // namespace capture
