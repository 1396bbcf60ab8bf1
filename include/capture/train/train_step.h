// One optimisation step: forward, backward, reduction, update. Nothing in it waits for a device.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "capture/data/batch.h"
#include "capture/data/batch_copier.h"
#include "capture/distributed/gradient_reducer.h"
#include "capture/distributed/process_group.h"
#include "capture/model/hybrid_stream.h"
#include "capture/train/config.h"
#include "capture/train/optimizer.h"
#include "capture/train/step_graphs.h"
#include "capture/train/stop_request.h"

namespace capture {

/// Dropout for one forward pass: seeds LibTorch's generators from the run's seed, the step, the batch within the step
/// and the rank, so that a checkpoint needs to keep no generator state. For packed batches on the CPU 0 and 0: dropout
/// itself tells their pairs apart (PackedBatch::items), and so does not depend on how a step is divided.
void seed_dropout(at::Device device, int64_t seed, int64_t step, int64_t batch, int64_t rank);

class TrainStep {
 public:
  TrainStep(HybridStreamModel model, Optimizer& optimizer, const TrainConfig& config, at::Device device,
            ProcessGroup group);

  /// From now on steps are recorded and repeated; for one process, and padded batches.
  void use_graphs(std::unique_ptr<GraphBackend> backend, const StepGraphOptions& options);

  /// Step number `step` on this rank's share of its batches, at least one, which are on the host. A batch is copied to
  /// the device and let go of in its turn: those of a step never lie there together. The step's masked losses are means
  /// over all masked positions in all batches of all ranks; the contrastive loss is the mean over their pairs. Returns
  /// what Meter::kNames lists: [5] float32 on the device.
  at::Tensor run(std::vector<Batch> batches, int64_t step, double rate_factor);

 private:
  std::vector<LossShares> shares_of(const std::vector<Batch>& batches) const;
  /// Adds to the gradients; returns the total and the three losses, as parts of the step's. `last`: of the step.
  at::Tensor learn(const Batch& batch, const LossShares& shares, bool last);

  HybridStreamModel model_;
  Optimizer& optimizer_;
  const TrainConfig& config_;
  at::Device device_;
  ProcessGroup group_;
  BatchCopier copier_;
  std::unique_ptr<GradientReducer> reducer_;  // with other processes
  std::unique_ptr<StepGraphs> graphs_;        // where asked for
};

/// Mean losses over a dataset, masked the same way every time; the first four of Meter::kNames. Runs on every rank.
/// `stopping` is asked before every batch; there are no means when it said yes.
std::optional<std::array<double, 4>> validate(HybridStreamModel& model, const Dataset& data, const Tokenizer& tokenizer,
                                              const TrainConfig& config, at::Device device, const ProcessGroup& group,
                                              const StopQuestion& stopping = {});

}  // namespace capture
