#include "capture/train/step_graphs.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <array>
#include <map>
#include <optional>
#include <string>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/objectives/pretraining.h"
#include "capture/tensor/device.h"
#include "static_batch.h"

namespace capture {

namespace {

std::string name_of(const BatchShape& shape) {
  return fmt::format("a batch of {} pairs, {} tokens{} and {} regions{}", shape.pairs, shape.tokens,
                     shape.text_padded ? " (padded)" : "", shape.regions, shape.regions_padded ? " (padded)" : "");
}

void set(const at::Tensor& tensor, const std::array<double, 3>& numbers) {
  for (size_t i = 0; i < numbers.size(); ++i) tensor.select(0, static_cast<int64_t>(i)).fill_(numbers[i]);
}

}  // namespace

/// Work that is always the same, and how far it is from being recorded.
struct StepGraphs::Work {
  int64_t rehearsals = 0;
  bool refused = false;  // there were too many shapes
  std::unique_ptr<RecordedWork> recorded;
};

struct StepGraphs::Batches {
  StaticBatch memory;
  std::map<BatchShape, Work> shapes;
};

StepGraphs::StepGraphs(HybridStreamModel model, Optimizer& optimizer, const TrainConfig& config, at::Device device,
                       const StepGraphOptions& options, std::unique_ptr<GraphBackend> backend)
    : model_(std::move(model)),
      optimizer_(optimizer),
      config_(config),
      device_(device),
      options_(options),
      backend_(std::move(backend)),
      update_(std::make_unique<Work>()) {
  const at::TensorOptions floats = at::TensorOptions(device).dtype(at::kFloat);
  shares_ = at::zeros({3}, floats);
  weights_ = at::zeros({3}, floats);
  rate_factor_ = at::zeros({}, floats);
  losses_ = at::zeros({4}, floats);
  values_ = at::zeros({5}, floats);
  for (const auto& parameter : optimizer.parameters()) {
    if (!parameter.requires_grad()) continue;
    trained_.push_back(parameter);
    gradients_.push_back(at::zeros_like(parameter));
  }
  weighed_.pairs = -1;  // nothing was weighed yet
  weigh({});
}

StepGraphs::~StepGraphs() = default;

void StepGraphs::add(const Batch& batch, const LossShares& shares) {
  TORCH_CHECK(!batch.packed, "packed batches, which have no fixed shapes, are not recorded");
  if (!batches_) {
    batches_ = std::make_unique<Batches>(Batches{{config_, options_.max_regions, device_, batch}, {}});
  }
  attach_gradients();
  weigh(shares);
  const auto shape = batches_->memory.shape_of(batch);
  if (!shape) {
    const PairBatch inputs = to(batch.inputs, device_);
    const MaskedTargets targets = to(batch.targets, device_);
    backend_->rehearse([&] { learn(inputs, targets); });
    return;
  }
  const PlacedBatch placed = batches_->memory.in_shape(*shape);
  StaticBatch::fill(placed, batch);
  run(
      batches_->shapes[*shape], [this, placed] { learn(placed.inputs, placed.targets); }, name_of(*shape));
}

at::Tensor StepGraphs::update(double rate_factor) {
  attach_gradients();
  rate_factor_.fill_(rate_factor);
  run(
      *update_, [this] { move_weights(); }, "the update");
  return values_.clone();  // the next step overwrites them, and whoever logs them may come later
}

void StepGraphs::learn(const PairBatch& inputs, const MaskedTargets& targets) {
  PretrainingLosses loss;
  {
    RECORD_USER_SCOPE("forward");
    const AutocastScope autocast(device_, config_.trainer.precision);
    loss = pretraining_losses(*model_, inputs, targets, config_.objective, {}, weights_);
  }
  if (loss.total.requires_grad()) {
    RECORD_USER_SCOPE("backward");
    loss.total.backward();
  }
  const at::NoGradGuard no_gradient;
  const at::Tensor parts = at::stack({loss.masked_tokens, loss.masked_regions, loss.contrastive}) * shares_;
  losses_.add_(at::cat({loss.total.detach().unsqueeze(0), parts}));
}

void StepGraphs::move_weights() {
  RECORD_USER_SCOPE("update");
  const at::NoGradGuard no_gradient;
  const at::Tensor norm = optimizer_.step(rate_factor_, losses_);
  values_.copy_(at::cat({losses_, norm.unsqueeze(0)}));
  at::_foreach_zero_(gradients_);
  losses_.zero_();
}

void StepGraphs::weigh(const LossShares& shares) {
  if (shares == weighed_) return;
  weighed_ = shares;
  const auto& objective = config_.objective;
  set(shares_, {shares.tokens, shares.regions, shares.pairs});
  set(weights_, {objective.masked_tokens * shares.tokens, objective.masked_regions * shares.regions,
                 objective.contrastive * shares.pairs});
}

/// Recorded work writes there, whatever else happened to the gradients meanwhile.
void StepGraphs::attach_gradients() {
  for (size_t i = 0; i < trained_.size(); ++i) trained_[i].mutable_grad() = gradients_[i];
}

void StepGraphs::record(Work& work, const std::function<void()>& call, const std::string& name) {
  const bool is_batch = &work != update_.get();
  work.refused = is_batch && recorded_ == options_.most_recorded;
  if (work.refused) {
    log::info("{} is computed without a graph: there are {} already", name, recorded_);
    return;
  }
  try {
    work.recorded = backend_->record(call);
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    throw UserError({.what = "cannot record " + name + " as a graph: " + reason.substr(0, reason.find('\n')),
                     .where = "trainer.cuda_graph",
                     .hint = "lower loader.batch_size if memory is short, or set trainer.cuda_graph to false; then run "
                             "again with --resume auto"});
  }
  if (is_batch) ++recorded_;
  log::info("{} is a graph from now on", name);
}

void StepGraphs::run(Work& work, const std::function<void()>& call, const std::string& name) {
  if (!work.recorded && !work.refused && work.rehearsals == options_.rehearsals) record(work, call, name);
  if (work.recorded) {
    work.recorded->repeat();
    return;
  }
  if (!work.refused) ++work.rehearsals;
  backend_->rehearse(call);
}

}  // namespace capture
