// What the training loop leaves behind: the trainer's half that saves, and that gives up.
#include <ATen/ATen.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/base/sentence.h"
#include "capture/model/weights.h"
#include "capture/train/trainer.h"

namespace capture {

namespace {

/// How often rank 0 tells the others that it is still writing: the shortest distributed.timeout_seconds is 1.
constexpr auto kHeartbeat = std::chrono::milliseconds(250);

}  // namespace

std::vector<TensorFile> checkpoint_files(const HybridStreamModelImpl& model, const Optimizer& optimizer,
                                         const std::optional<WeightAverage>& average) {
  std::vector<TensorFile> files = {{"model.safetensors", named_parameters_of(model), model_metadata(model)},
                                   {"optimizer.safetensors", optimizer.state()}};
  if (average) {
    const auto& averaged = *average->model();
    files.push_back({"average.safetensors", named_parameters_of(averaged), model_metadata(averaged)});
  }
  return files;
}

int64_t Trainer::checkpoint_bytes() const {
  int64_t bytes = 0;
  for (const auto& parameter : optimizer_.parameters()) bytes += static_cast<int64_t>(parameter.nbytes());
  for (const auto& [name, tensor] : optimizer_.state()) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

void Trainer::save(bool is_best) {
  saved_ = step_;
  if (writer_ && writer_->is_busy()) log::info("step {}: waiting for the checkpoint before to reach the disk", step_);
  wait_for_writer();
  notice_failed_save();
  if (writer_) begin_save(*writer_, is_best);
  if (!config_.trainer.checkpoint_in_background) wait_for_writer();
}

void Trainer::begin_save(CheckpointWriter& writer, bool is_best) {
  folder_.require_in_place();
  writer.save({.step = step_,
               .files = files(),
               .state = {{"epoch", position().epoch},
                         {"meter", meter_.state()},
                         {"best", best_.state()},
                         {"data", parts_.training.fingerprint()},
                         {"tokenizer", parts_.tokenizer->fingerprint()},
                         {"initialized", initialized_},
                         {"world_size", group_.world_size()},
                         {"unmeasured", unmeasured_},
                         {"config", to_json(config_)}},
               .is_best = is_best,
               .keep_last = config_.trainer.keep_last,
               .first = [this] {
                 log_->sync();
                 folder_.require_in_place();  // again: copying the tensors and syncing the log take a while
               }});
}

/// Without a collective call: where the measurement failed on this process alone, the others are in another one.
void Trainer::save_unmeasured(const std::string& reason) {
  group_.leave(reason);  // now: they shall not take the time that writing takes for a process that hangs
  if (!writer_) return;
  writer_->wait();
  if (is_there(folder_.checkpoints().path_of(step_))) return;
  CheckpointWriter writer(folder_.checkpoints(), /*in_background=*/false);  // perhaps there is no memory for a copy
  std::string problem;
  try {
    begin_save(writer, /*is_best=*/false);
    writer.wait();
    if (const auto failure = writer.take_failure()) problem = failure->what;
  } catch (const std::exception& error) {
    problem = sentence_of(error);
  }
  if (problem.empty()) {
    log::info("step {}: the measurement failed; a checkpoint of this step is kept, and the next run measures it anew",
              step_);
  } else {
    log::warn("no checkpoint of step {}, of which the measurement failed: {}", step_, problem);
  }
}

void Trainer::notice_failed_save() {
  if (!writer_) return;
  if (const auto failure = writer_->take_failure()) {
    log::warn("no checkpoint of step {}: {}; training goes on, and the next one is tried when it is due", failure->step,
              failure->what);
  }
}

/// However slow the disk, the others keep hearing that it is not done yet, and do not take rank 0 for hung.
void Trainer::wait_for_writer() {
  at::Tensor busy = at::ones({});
  while (busy.item<float>() > 0) {
    if (writer_) busy.fill_(writer_->wait_for(kHeartbeat) ? 0.0 : 1.0);
    group_.broadcast({busy});
  }
}

bool Trainer::is_kept(int64_t step) const {
  at::Tensor kept = at::zeros({});
  if (group_.rank() == 0 && is_there(folder_.checkpoints().path_of(step))) kept.fill_(1.0);
  group_.broadcast({kept});
  return kept.item<float>() > 0;
}

/// Every process ends together: a launcher that sees one end may end the others, with the last checkpoint half-written.
void Trainer::finish_saves() {
  wait_for_writer();
  if (writer_) {
    folder_.require_in_place();
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
