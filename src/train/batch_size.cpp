#include "capture/train/batch_size.h"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <optional>

#include "capture/base/error.h"
#include "capture/base/memory.h"
#include "capture/base/sentence.h"
#include "capture/data/loader.h"
#include "capture/tensor/runtime.h"
#include "capture/train/checkpoint_writer.h"
#include "capture/train/parts.h"
#include "capture/train/train_step.h"
#include "capture/train/trainer.h"
#include "capture/train/weight_average.h"

namespace capture {

namespace {

std::string gibibytes(int64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1 << 30));
}

/// Peak memory of a device between two looks.
class MemoryMeter {
 public:
  MemoryMeter(at::Device device, int64_t limit) : device_(device), limit_(limit) {
    if (limit_ > 0 || !device.is_cpu()) return;
    const int64_t available = available_memory();
    if (available > 0) limit_ = anonymous_memory() + available / 10 * 9;
  }

  void reset() const {
    if (!device_.is_cpu()) at::getDeviceAllocator(device_.type())->resetPeakStats(device_.index());
  }

  /// On a CPU freed memory stays with the process (see tune_cpu_runtime), so what it holds now is the most it held.
  int64_t peak() const {
    if (device_.is_cpu()) return anonymous_memory();
    return at::getDeviceAllocator(device_.type())->getDeviceStats(device_.index()).reserved_bytes[0].peak;
  }

  void release() const {
    if (!device_.is_cpu()) at::getDeviceAllocator(device_.type())->emptyCache();
  }

  /// What the next trial, of twice the size, would need; nothing where that is not known or fits. A GPU says so itself.
  std::optional<int64_t> beyond(const std::vector<BatchSizeTrial>& trials) const {
    if (!device_.is_cpu() || limit_ == 0 || trials.size() < 2) return std::nullopt;
    const int64_t last = trials.back().peak_memory;
    const int64_t needed = last + 2 * (last - trials[trials.size() - 2].peak_memory);
    return needed > limit_ ? std::optional(needed) : std::nullopt;
  }

  /// Whether a trial took more than it may. A GPU would have refused it.
  bool exceeded_by(const BatchSizeTrial& trial) const {
    return device_.is_cpu() && limit_ > 0 && trial.peak_memory > limit_;
  }

  int64_t limit() const { return limit_; }

 private:
  at::Device device_;
  int64_t limit_;
};

/// A model in training whose weights do not change.
class Rehearsal {
 public:
  Rehearsal(const TrainConfig& config, TrainingParts& parts)
      : config_(config), parts_(parts), model_(config.model, static_cast<uint64_t>(config.trainer.seed)) {
    model_->recompute(config.trainer.recompute);
    model_->to(parts.device);
    model_->train();
    optimizer_.emplace(named_parameters_of(*model_), config.optimizer);
    if (config.ema.decay > 0) average_.emplace(model_, config.ema.decay);
    if (parts.device.is_cpu() && config.trainer.checkpoint_in_background) {
      snapshot_.prepare(checkpoint_files(*model_, *optimizer_, average_));
    }
  }

  BatchSizeTrial run(int64_t batch_size, int64_t steps, const MemoryMeter& memory) {
    using Clock = std::chrono::steady_clock;
    TrainConfig config = config_;
    config.loader.batch_size = batch_size;
    config.loader.drop_last = true;
    Loader loader(parts_.training, *parts_.tokenizer, config.loader, config.masking,
                  {.epochs = steps + 1, .pin_memory = parts_.device.is_cuda(), .packed = packs(config, parts_.device)});
    TrainStep step(model_, *optimizer_, config, parts_.device, {});
    memory.reset();
    Clock::time_point start;
    at::Tensor values;
    for (int64_t i = 0; i <= steps; ++i) {
      if (i == 1) {
        values.cpu();  // waits for the step that is not timed
        start = Clock::now();
      }
      std::vector<Batch> batches;
      batches.push_back(std::move(*loader.next()));
      values = step.run(std::move(batches), i, /*rate_factor=*/0.0);
    }
    values.cpu();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return {batch_size, static_cast<double>(batch_size * steps) / seconds, memory.peak()};
  }

  void forget() { optimizer_->clear_gradients(); }

 private:
  const TrainConfig& config_;
  TrainingParts& parts_;
  HybridStreamModel model_;
  std::optional<Optimizer> optimizer_;
  std::optional<WeightAverage> average_;  ///< which takes memory, as does
  Snapshot snapshot_;
};

[[noreturn]] void refuse_any(at::Device device, const std::string& why) {
  throw UserError({.what = "not even one pair a batch fits into the memory of " + device.str() + why,
                   .where = "the configuration",
                   .hint = "make the model smaller, or set trainer.recompute to all"});
}

}  // namespace

BatchSizes find_batch_sizes(TrainConfig config, const BatchSizeSearch& search,
                            const std::function<void(const BatchSizeTrial&)>& tell) {
  TrainingParts parts = open_parts(config);
  tune_cpu_runtime(config.trainer.threads);
  const MemoryMeter memory(parts.device, search.memory);
  Rehearsal rehearsal(config, parts);
  const int64_t pairs = pairs_an_epoch(parts.training, config.loader);
  BatchSizes sizes;
  for (int64_t size = 1;; size *= 2) {
    const std::string next = std::to_string(size);
    if (size > search.largest) {
      sizes.ending = "larger batches than " + std::to_string(search.largest) + " were not asked for";
    } else if (size > pairs) {
      sizes.ending = "the training data has " + std::to_string(pairs) + " pairs, too few for a batch of " + next;
    } else if (const auto needed = memory.beyond(sizes.trials)) {
      sizes.ending = "a batch of " + next + " would need about " + gibibytes(*needed) + " of memory, and " +
                     gibibytes(memory.limit()) + " may be used";
    }
    if (!sizes.ending.empty()) return sizes;
    try {
      const BatchSizeTrial trial = rehearsal.run(size, search.steps, memory);
      if (memory.exceeded_by(trial)) {
        const std::string took = gibibytes(trial.peak_memory) + " of memory, and " + gibibytes(memory.limit());
        if (sizes.trials.empty()) refuse_any(parts.device, ": it takes " + took + " may be used");
        sizes.ending = "a batch of " + next + " takes " + took + " may be used";
        return sizes;
      }
      sizes.trials.push_back(trial);
      tell(trial);
    } catch (const std::exception& error) {
      if (!is_out_of_memory(error)) throw;
      rehearsal.forget();
      memory.release();
      if (sizes.trials.empty()) refuse_any(parts.device, "");
      sizes.ending = "a batch of " + next + " does not fit into the memory of " + parts.device.str();
    }
    if (!sizes.ending.empty()) return sizes;
  }
}

}  // namespace capture
