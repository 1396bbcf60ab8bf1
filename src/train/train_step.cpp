#include "capture/train/train_step.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <functional>
#include <mutex>

#include "capture/data/loader.h"
#include "capture/objectives/pretraining.h"
#include "capture/tensor/random.h"

namespace capture {

namespace {

/// How many positions a batch's losses are means over: masked tokens, masked regions, pairs.
std::array<double, 3> positions_of(const Batch& batch, const ProcessGroup& group) {
  const int64_t pairs = batch.pairs < 0 ? std::ssize(batch.samples) : group.share_of(batch.pairs);
  return {static_cast<double>(batch.targets.token_rows.size(0)), static_cast<double>(batch.targets.region_rows.size(0)),
          static_cast<double>(pairs)};
}

double mean(double sum, double count) {
  return count > 0 ? sum / count : 0;
}

/// Of positions that a step has none of, every batch has its share: their heads then get a gradient of zeros, however
/// the step is divided, and momentum goes on.
double share(double part, double whole) {
  return whole > 0 ? part / whole : 1;
}

PretrainingLosses losses_of(const HybridStreamModelImpl& model, const Batch& batch, at::Device device,
                            const PretrainingObjectiveOptions& objective, const ProcessGroup& group) {
  const MaskedTargets targets = to(batch.targets, device);
  if (batch.packed)
    return pretraining_losses(model, to(*batch.packed, device), targets, objective, group, {}, batch.pairs);
  return pretraining_losses(model, to(batch.inputs, device), targets, objective, group, {}, batch.pairs);
}

void seed_generator(at::Device device, uint64_t seed) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_current_seed(seed);
}

}  // namespace

void seed_dropout(at::Device device, int64_t seed, int64_t step, int64_t batch, int64_t rank) {
  const auto words = philox(static_cast<uint64_t>(seed), static_cast<uint64_t>(step),
                            static_cast<uint64_t>(rank) << 32 | static_cast<uint64_t>(batch));
  seed_generator(device, uint64_t{words[0]} << 32 | words[1]);
}

TrainStep::TrainStep(HybridStreamModel model, Optimizer& optimizer, const TrainConfig& config, at::Device device,
                     ProcessGroup group)
    : model_(std::move(model)),
      optimizer_(optimizer),
      config_(config),
      device_(device),
      group_(std::move(group)),
      copier_(device) {
  if (group_.alone()) return;
  reducer_ = make_gradient_reducer(group_, optimizer_.parameters(), config.distributed);
}

void TrainStep::use_graphs(std::unique_ptr<GraphBackend> backend, const StepGraphOptions& options) {
  TORCH_CHECK(group_.alone(), "recorded steps are for one process");
  graphs_ = std::make_unique<StepGraphs>(model_, optimizer_, config_, device_, options, std::move(backend));
}

std::vector<LossShares> TrainStep::shares_of(const std::vector<Batch>& batches) const {
  // The means of a step that is one batch on one process are what they should be.
  if (batches.size() == 1 && group_.alone()) return {{1, 1, 1}};
  std::array<double, 3> own{};
  for (const auto& batch : batches) {
    const auto positions = positions_of(batch, group_);
    for (size_t i = 0; i < own.size(); ++i) own[i] += positions[i];
  }
  at::Tensor total = at::tensor(at::ArrayRef<double>(own.data(), own.size()), at::kDouble);
  group_.sum(total);
  const double* whole = total.const_data_ptr<double>();
  // Gradients are averaged over the processes, so each counts its own share that many times.
  const auto world = static_cast<double>(group_.world_size());
  std::vector<LossShares> shares;
  for (const auto& batch : batches) {
    const auto positions = positions_of(batch, group_);
    // Without a pair that counts the contrastive loss is 0 whatever its share, but the others wait for this one's rows:
    // a share of 0 would leave the objective out.
    const double pairs = std::max(positions[2], 1.0);
    shares.push_back(
        {world * share(positions[0], whole[0]), world * share(positions[1], whole[1]), world * share(pairs, whole[2])});
  }
  return shares;
}

at::Tensor TrainStep::learn(const Batch& batch, const LossShares& shares, bool last) {
  PretrainingObjectiveOptions objective = config_.objective;
  objective.masked_tokens *= shares.tokens;
  objective.masked_regions *= shares.regions;
  objective.contrastive *= shares.pairs;
  PretrainingLosses loss;
  {
    RECORD_USER_SCOPE("forward");
    const AutocastScope autocast(device_, config_.trainer.precision);
    loss = losses_of(*model_, batch, device_, objective, group_);
  }
  {
    RECORD_USER_SCOPE("backward");
    if (reducer_ && last) {
      reducer_->backward(loss.total);
    } else if (loss.total.requires_grad()) {
      // Where nothing is masked, others have masked positions, and nothing else is asked for, there is nothing to
      // learn.
      loss.total.backward();
    }
  }
  const at::NoGradGuard no_gradient;
  return at::stack({loss.total.detach(), loss.masked_tokens * shares.tokens, loss.masked_regions * shares.regions,
                    loss.contrastive * shares.pairs});
}

at::Tensor TrainStep::run(std::vector<Batch> batches, int64_t step, double rate_factor) {
  const auto shares = shares_of(batches);
  at::Tensor losses;
  for (size_t i = 0; i < batches.size(); ++i) {
    Batch batch = std::move(batches[i]);
    copier_.move(batch);
    const bool by_pair = batch.packed && device_.is_cpu();
    seed_dropout(device_, config_.trainer.seed, step, by_pair ? 0 : static_cast<int64_t>(i),
                 by_pair ? 0 : group_.rank());
    if (graphs_) {
      graphs_->add(batch, shares[i]);
      continue;
    }
    const at::Tensor values = learn(batch, shares[i], /*last=*/i + 1 == batches.size());
    losses = i == 0 ? values : losses + values;
  }
  if (graphs_) return graphs_->update(rate_factor);
  if (reducer_) {
    RECORD_USER_SCOPE("reduce");
    reducer_->finish();
    group_.average({losses});
  }
  RECORD_USER_SCOPE("update");
  const at::Tensor norm = optimizer_.step(rate_factor, losses);
  optimizer_.clear_gradients();
  return at::cat({losses, norm.unsqueeze(0)});
}

std::optional<std::array<double, 4>> validate(HybridStreamModel& model, const Dataset& data, const Tokenizer& tokenizer,
                                              const TrainConfig& config, at::Device device, const ProcessGroup& group,
                                              const StopQuestion& stopping) {
  const at::NoGradGuard no_gradient;
  const bool was_training = model->is_training();
  model->eval();
  LoaderOptions options = config.loader;
  options.shuffle = false;
  options.drop_last = false;
  options.augmentation = {};
  options.weights = {};
  options.bucket_batches = 1;
  Loader loader(data, tokenizer, options, config.masking,
                {.rank = group.rank(),
                 .world_size = group.world_size(),
                 .pin_memory = device.is_cuda(),
                 .packed = packs(config, device)});
  const BatchCopier copier(device);
  // Of the three losses, and how many positions they are means over: known on the host, where nothing waits for a GPU.
  at::Tensor losses = at::zeros({3}, at::TensorOptions(device).dtype(at::kDouble));
  std::array<double, 3> counts{};
  bool stopped = false;
  while (auto batch = loader.next()) {
    // Every rank has as many batches, so all ask equally often.
    stopped = stopping && stopping();
    if (stopped) break;
    copier.move(*batch);
    const AutocastScope autocast(device, config.trainer.precision);
    const auto loss = losses_of(*model, *batch, device, config.objective, group);
    const auto positions = positions_of(*batch, group);
    const auto whole = [](const at::Tensor& mean, double count) { return mean.to(at::kDouble) * count; };
    losses += at::stack({whole(loss.masked_tokens, positions[0]), whole(loss.masked_regions, positions[1]),
                         whole(loss.contrastive, positions[2])});
    std::ranges::transform(counts, positions, counts.begin(), std::plus());
  }
  model->train(was_training);
  if (stopped) return std::nullopt;
  at::Tensor sums = at::cat({losses.cpu(), at::tensor(at::ArrayRef<double>(counts.data(), 3), at::kDouble)});
  group.sum(sums);
  const double* sum = sums.const_data_ptr<double>();
  const std::array<double, 3> means = {mean(sum[0], sum[3]), mean(sum[1], sum[4]), mean(sum[2], sum[5])};
  const auto& weight = config.objective;
  const double total =
      weight.masked_tokens * means[0] + weight.masked_regions * means[1] + weight.contrastive * means[2];
  return std::array{total, means[0], means[1], means[2]};
}

}  // namespace capture
