// What the training loop leaves behind: the trainer's half that saves, and that gives up.
#include <ATen/ATen.h>

#include <cstdlib>
#include <string>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/model/weights.h"
#include "capture/train/trainer.h"

namespace capture {

int64_t Trainer::checkpoint_bytes() const {
  int64_t bytes = 0;
  for (const auto& parameter : optimizer_.parameters()) bytes += static_cast<int64_t>(parameter.nbytes());
  for (const auto& [name, tensor] : optimizer_.state()) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

void Trainer::save(bool is_best) {
  saved_ = step_;
  if (!writer_) return;
  if (writer_->is_busy()) log::info("step {}: waiting for the checkpoint before to reach the disk", step_);
  writer_->wait();
  notice_failed_save();
  std::vector<TensorFile> files = {{"model.safetensors", named_parameters_of(*model_), model_metadata(*model_)},
                                   {"optimizer.safetensors", optimizer_.state()}};
  if (average_) {
    const auto& average = *average_->model();
    files.push_back({"average.safetensors", named_parameters_of(average), model_metadata(average)});
  }
  writer_->save({.step = step_,
                 .files = std::move(files),
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
