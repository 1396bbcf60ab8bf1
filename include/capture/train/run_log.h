// What a run writes about itself: metrics.jsonl and TensorBoard events.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>

#include "capture/train/event_file.h"
#include "capture/train/gallery.h"
#include "capture/train/meter.h"
#include "capture/train/metrics_file.h"

namespace capture {

/// Where in the run a line belongs: finished steps, and the epochs that they make.
struct RunPosition {
  int64_t step;
  double epoch;
};

/// What one process did between two lines, and what it could have done.
struct Throughput {
  double seconds;
  double flops;          ///< of the model, see training_flops()
  double peak_tflops;    ///< of its device
  int64_t memory_bytes;  ///< memory_in_use()
};

/// For the one process that owns the run folder. A disk that is full for a while ends no run: lines wait in memory, a
/// curve's points are lost, and a warning says so. Only sync() insists.
class RunLog {
 public:
  /// Goes on after `last_step`; what the files say beyond it is dropped. Unless `measured`, so is what was measured
  /// after that step: it comes again.
  RunLog(const std::filesystem::path& folder, int64_t last_step, bool measured = true);

  /// {"step", "epoch", "learning_rate", "loss", "masked_tokens", "masked_regions", "contrastive", "gradient_norm",
  /// "skipped", "samples_per_second", "tflops", "mfu", "memory_megabytes"}: means since the line before; the rate is
  /// that of parameters without a scale; the last three are this process's.
  void training(RunPosition at, double learning_rate, const Meter& meter, const Throughput& throughput);

  /// {"step", "epoch", "validation": {"loss", "masked_tokens", "masked_regions", "contrastive"}}.
  void validation(RunPosition at, const std::array<double, 4>& losses);

  /// {"step", "epoch", "evaluation": {"mAP@10", …}}.
  void evaluation(RunPosition at, const GalleryFigures& figures);

  /// Before a checkpoint, which promises the lines so far: UserError when some cannot be written. From any thread.
  void sync() { metrics_.sync(); }

 private:
  template <class Write>
  void attempt(const Write& write);

  bool failing_ = false;  // and that has been said
  MetricsFile metrics_;
  EventFile events_;
};

}  // namespace capture
