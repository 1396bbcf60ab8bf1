// What the training loop says between its steps: the trainer's half that measures and logs.
#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/base/sentence.h"
#include "capture/train/machine.h"
#include "capture/train/trainer.h"

namespace capture {

void Trainer::settle_pending() {
  for (const auto& [step, samples, values] : pending_) {
    const at::Tensor host = values.cpu();
    const float* numbers = host.const_data_ptr<float>();
    Meter::Values doubles;
    // The sign of a NaN says nothing, and "-nan" looks as if it did.
    const auto widened = [](float value) { return std::isnan(value) ? std::nan("") : static_cast<double>(value); };
    std::transform(numbers, numbers + doubles.size(), doubles.begin(), widened);
    if (meter_.add(doubles, samples)) continue;
    // All ranks have the same numbers.
    if (group_.rank() == 0) {
      log::warn("step {}: loss {}, gradient norm {}; the step is skipped ({} in a row)", step, doubles.front(),
                doubles.back(), meter_.skipped_in_a_row());
    }
    if (meter_.skipped_in_a_row() == 1) {
      explain_bad_step(config_, parts_, model_, group_, batches_of(step), doubles, folder_.path() / "bad_steps");
    }
    if (meter_.skipped_in_a_row() <= config_.trainer.max_bad_steps) continue;
    throw UserError(
        {.what = fmt::format("a loss or gradient was not finite in {} step{} in a row; the last was step {}",
                             meter_.skipped_in_a_row(), meter_.skipped_in_a_row() == 1 ? "" : "s", step),
         .allowed = "trainer.max_bad_steps = " + std::to_string(config_.trainer.max_bad_steps),
         .hint = "lower optimizer.learning_rate, lengthen the warm-up, or check the data with "
                 "`capture_data verify`; then run again with --resume auto"});
  }
  pending_.clear();
}

void Trainer::log_window() {
  const double seconds = std::chrono::duration<double>(Clock::now() - window_start_).count();
  if (log_) log_->training(position(), rate_, meter_, {seconds, flops_, peak_tflops_, memory_in_use(parts_.device)});
  flops_ = 0;
  note_ = fmt::format("loss {:.4f} epoch {:.2f}", meter_.mean_loss(), position().epoch);
  meter_.reset();
  window_start_ = Clock::now();
}

bool Trainer::measure(const StopRequest& stop, bool within_limit) {
  // Who asks a run to stop gives it seconds: time for a checkpoint, not for a validation. The next run does that first.
  unmeasured_ = true;
  if (stopped_by_ != 0) return false;
  auto asked = Clock::now();
  Clock::duration longest{};
  const StopQuestion stopping = [&] {
    const auto now = Clock::now();
    longest = std::max(longest, now - std::exchange(asked, now));
    return is_to_stop(stop, within_limit && time_limit_.is_near(now, longest));
  };
  Measurements found;
  try {
    found = take_measurements(stopping);
  } catch (const std::exception& error) {
    save_unmeasured(sentence_of(error));
    throw;
  }
  if (stopped_by_ != 0) {
    if (log_) log::info("step {}: asked to stop while measuring; the next run measures this step anew", step_);
    return false;
  }
  // Only now, so that neither the log nor the best so far knows half of it.
  unmeasured_ = false;
  bool improved = found.losses && log_validation(*found.losses);
  if (found.figures && log_evaluation(*found.figures)) improved = true;
  return improved;
}

Trainer::Measurements Trainer::take_measurements(const StopQuestion& stopping) {
  Measurements found;
  if (validation_is_due()) {
    found.losses =
        validate(measured(), *parts_.validation, *parts_.tokenizer, config_, parts_.device, group_, stopping);
  }
  if (evaluation_is_due() && stopped_by_ == 0) {
    found.figures = evaluation_.measure(measured(), stopping);
    if (!average_) model_->train();
  }
  if (!found.figures) return found;
  // Processes on different hardware may round differently, and all must agree on what is the best.
  at::Tensor values = at::empty({static_cast<int64_t>(found.figures->size())}, at::kDouble);
  double* const numbers = values.mutable_data_ptr<double>();
  for (size_t i = 0; i < found.figures->size(); ++i) numbers[i] = (*found.figures)[i].second;
  group_.broadcast({values});
  for (size_t i = 0; i < found.figures->size(); ++i) (*found.figures)[i].second = numbers[i];
  return found;
}

void Trainer::make_up_for_measurements(const StopRequest& stop) {
  if (!unmeasured_) return;
  // Whatever the time limit: runs that each end before this is done would never come further.
  const bool improved = measure(stop, /*within_limit=*/false);
  if (stopped_by_ == 0) {
    save(improved);
    is_to_stop(stop, time_limit_.is_near(Clock::now()));
  } else if (!is_kept(step_)) {
    save(/*is_best=*/false);  // that one is another run's
  }
}

bool Trainer::log_validation(const std::array<double, 4>& losses) {
  const auto metric = static_cast<size_t>(config_.trainer.best_metric);
  const bool improved = metric < losses.size() && best_.add(losses[metric], step_);
  if (log_) {
    log_->validation(position(), losses);
    log::info("step {}: validation loss {:.4f} (tokens {:.4f}, regions {:.4f}, contrastive {:.4f}){}", step_, losses[0],
              losses[1], losses[2], losses[3], improved ? ", the best so far" : "");
  }
  return improved;
}

bool Trainer::log_evaluation(const GalleryFigures& figures) {
  bool improved = false;
  for (const auto& [name, value] : figures) {
    if (name == best_.metric()) improved = best_.add(value, step_);
  }
  if (log_) {
    log_->evaluation(position(), figures);
    std::string text;
    for (const auto& [name, value] : figures) text += fmt::format(" {} {:.4f}", name, value);
    log::info("step {}: retrieval{}{}", step_, text, improved ? ", the best so far" : "");
  }
  return improved;
}

}  // namespace capture
