// Training steps whose kernels are asked for in a few calls instead of some thousand: recorded once for each shape of
// batch, then repeated. On a GPU that computes faster than the host can ask, that is what a step's time is made of.
//
// What is recorded knows nothing of the host. Batches are copied to where the recorded work reads them, filled up to
// one of few shapes and to a fixed number of masked rows; gradients stay where they are and are zeroed, not dropped;
// the learning rate, the objectives' weights and whether a step counts are numbers on the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "capture/data/batch.h"
#include "capture/model/hybrid_stream.h"
#include "capture/train/config.h"
#include "capture/train/graph_backend.h"
#include "capture/train/optimizer.h"

namespace capture {

/// Shares of a batch in a step's means over masked tokens, masked regions and pairs.
struct LossShares {
  double tokens = 1;
  double regions = 1;
  double pairs = 1;

  bool operator==(const LossShares&) const = default;
};

struct StepGraphOptions {
  int64_t max_regions = 0;    ///< of any batch, without the global one
  int64_t rehearsals = 2;     ///< how often a shape is computed as usual before it is recorded
  size_t most_recorded = 16;  ///< shapes; all others are computed as usual
};

/// Steps of one process. A batch is filled up in the same way whether its work is recorded, repeated or not yet either:
/// what a step gives does not depend on the steps before it, and a run that goes on from a checkpoint, where nothing is
/// recorded yet, repeats the uninterrupted one. Every parameter that trains has a gradient, zero where nothing asked
/// for one.
class StepGraphs {
 public:
  /// The model must be in training, on its device; model, optimiser and configuration outlive this. Layers that compute
  /// twice (HybridStreamModel::recompute) must not draw dropout in recorded work.
  StepGraphs(HybridStreamModel model, Optimizer& optimizer, const TrainConfig& config, at::Device device,
             const StepGraphOptions& options, std::unique_ptr<GraphBackend> backend);
  ~StepGraphs();
  StepGraphs(const StepGraphs&) = delete;
  StepGraphs& operator=(const StepGraphs&) = delete;

  /// Adds a padded batch's share to the step's losses and gradients; dropout draws from LibTorch's generator as it
  /// stands. UserError when the work cannot be recorded.
  void add(const Batch& batch, const LossShares& shares);

  /// Ends the step; see Optimizer::step. Returns what Meter::kNames lists: [5] float32 on the device.
  at::Tensor update(double rate_factor);

 private:
  struct Work;
  struct Batches;

  void learn(const PairBatch& inputs, const MaskedTargets& targets);
  void move_weights();
  void weigh(const LossShares& shares);
  void attach_gradients();
  void record(Work& work, const std::function<void()>& call, const std::string& name);
  void run(Work& work, const std::function<void()>& call, const std::string& name);

  HybridStreamModel model_;
  Optimizer& optimizer_;
  const TrainConfig& config_;
  at::Device device_;
  StepGraphOptions options_;
  std::unique_ptr<GraphBackend> backend_;
  std::unique_ptr<Batches> batches_;  // from the first batch on
  std::unique_ptr<Work> update_;
  size_t recorded_ = 0;

  std::vector<at::Tensor> trained_;    // parameters,
  std::vector<at::Tensor> gradients_;  // and where their gradients lie
  LossShares weighed_;
  at::Tensor shares_;       // [3] float32, of the batch at hand,
  at::Tensor weights_;      // [3] and times the objectives' weights
  at::Tensor rate_factor_;  // scalar
  at::Tensor losses_;       // [4] sums over the step's batches: the total, and each objective
  at::Tensor values_;       // [5]
};

}  // namespace capture
