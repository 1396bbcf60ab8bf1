#include "capture/objectives/pretraining.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "capture/base/error.h"
#include "capture/model/hybrid_stream.h"

namespace capture {

namespace {

/// The sum over rows of `targets` as a mean over as many numbers a row; without rows the empty sum, 0, stays as it is.
at::Tensor mean_of(const at::Tensor& sum, const at::Tensor& targets, const at::Tensor& count, double numbers = 1) {
  if (count.defined()) return sum / (count.clamp_min(1) * numbers);
  return sum / (static_cast<double>(std::max<int64_t>(targets.size(0), 1)) * numbers);
}

/// Targets of masked regions; UserError when the model or the data does not go with the objective.
const at::Tensor& region_targets(const HybridStreamModelImpl& model, const MaskedTargets& targets,
                                 RegionObjective objective) {
  const bool classes = objective == RegionObjective::classes;
  const at::Tensor& wanted = classes ? targets.region_classes : targets.region_features;
  if (!wanted.defined()) {
    throw UserError({.what = "the data holds no class probabilities of regions",
                     .where = "objective.region_objective",
                     .allowed = "features"});
  }
  const int64_t outputs = model.options().region_prediction_width();
  if (wanted.size(1) != outputs) {
    throw UserError({.what = "the model predicts " + std::to_string(outputs) + " numbers a region and the targets (" +
                             (classes ? "classes" : "features") + ") have " + std::to_string(wanted.size(1)),
                     .where = "model.region_outputs",
                     .allowed = std::to_string(wanted.size(1))});
  }
  return wanted;
}

}  // namespace

void PretrainingObjectiveOptions::visit(FieldVisitor& f) {
  constexpr Range<double> kWeight = {0.0, 1e6};
  f.field("masked_tokens", masked_tokens, "Weight of masked-token prediction; 0: left out.", kWeight);
  f.field("masked_regions", masked_regions, "Weight of masked-region prediction; 0: left out.", kWeight);
  f.field("contrastive", contrastive, "Weight of the image-title contrast; 0: left out.", kWeight);
  f.field("temperature", temperature, "Divides the cosines of the contrastive objective.", {1e-4, 1e4});
  f.choice("region_objective", region_objective, "What a masked region is predicted as.",
           Choices<RegionObjective>{{"features", RegionObjective::features}, {"classes", RegionObjective::classes}});
}

void PretrainingObjectiveOptions::check(FieldChecker& c) const {
  c.require(masked_tokens + masked_regions + contrastive > 0, "contrastive", "is 0, and so are the other weights",
            "at least one weight above 0");
}

at::Tensor masked_token_loss(const at::Tensor& scores, const at::Tensor& tokens, const at::Tensor& count) {
  return mean_of(at::cross_entropy_loss(scores.to(at::kFloat), tokens, {}, at::Reduction::Sum), tokens, count);
}

at::Tensor masked_feature_loss(const at::Tensor& predictions, const at::Tensor& features, const at::Tensor& count) {
  at::Tensor predicted = predictions.to(at::kFloat);
  if (count.defined()) {
    const at::Tensor row = at::arange(features.size(0), count.options()).unsqueeze(1);
    predicted = predicted.masked_fill(row >= count, 0.0);
  }
  return mean_of(at::mse_loss(predicted, features, at::Reduction::Sum), features, count,
                 static_cast<double>(features.size(1)));
}

at::Tensor masked_class_loss(const at::Tensor& scores, const at::Tensor& probabilities, const at::Tensor& count) {
  // Rows that do not count have no probability at all, and so no part in the sum.
  const at::Tensor logarithms = at::log_softmax(scores.to(at::kFloat), -1);
  return mean_of(at::kl_div(logarithms, probabilities, at::Reduction::Sum), probabilities, count);
}

namespace {

/// Mean over the rows, of which those of pairs that do not count take no part, nor do their columns. scores
/// [2B, 2B · processes], positive [2B].
at::Tensor mean_over_counted(const at::Tensor& scores, const at::Tensor& positive, int64_t pairs,
                             const ProcessGroup& group) {
  const int64_t size = positive.size(0) / 2;
  const int64_t counted = group.share_of(pairs);
  const at::Tensor column = at::arange(size * group.world_size(), positive.options());
  const at::Tensor turn = column.remainder(size) * group.world_size() + at::floor_divide(column, size);
  const at::Tensor uncounted = (turn >= pairs).repeat({2});
  const at::Tensor row = at::arange(2 * size, positive.options()).remainder_(size);
  const at::Tensor wanted = positive.masked_fill(row >= counted, MaskedTargets::kNoToken);
  const at::Tensor sum = at::cross_entropy_loss(scores.masked_fill(uncounted, -std::numeric_limits<float>::infinity()),
                                                wanted, {}, at::Reduction::Sum, MaskedTargets::kNoToken);
  return sum / (2.0 * static_cast<double>(std::max<int64_t>(counted, 1)));
}

}  // namespace

at::Tensor contrastive_loss(const at::Tensor& region_projection, const at::Tensor& text_projection, double temperature,
                            const ProcessGroup& group, int64_t pairs) {
  const auto normalised = [](const at::Tensor& x) {
    const at::Tensor single = x.to(at::kFloat);
    return single / single.norm(2, -1, /*keepdim=*/true).clamp_min(1e-12);
  };
  const at::Tensor regions = normalised(region_projection);
  const at::Tensor texts = normalised(text_projection);
  const int64_t mine = regions.size(0);
  const int64_t all = mine * group.world_size();
  const at::Tensor rows = at::cat({regions, texts});
  // Regions and texts of all processes, in one message.
  const at::Tensor columns =
      group.alone() ? rows : at::cat(gather_with_gradient(group, at::cat({regions, texts}, 1)).chunk(2, 1));

  // A product in bfloat16 would blur cosines that the temperature then stretches.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const at::Tensor index = at::arange(group.rank() * mine, (group.rank() + 1) * mine, rows.options().dtype(at::kLong));
  const at::Tensor itself = at::cat({index, index + all}).unsqueeze(1);
  const at::Tensor positive = at::cat({index + all, index});
  const at::Tensor scores =
      (at::matmul(rows, columns.t()) / temperature).scatter(1, itself, -std::numeric_limits<float>::infinity());
  const bool all_count = pairs < 0 || pairs == all;
  return all_count ? at::cross_entropy_loss(scores, positive) : mean_over_counted(scores, positive, pairs, group);
}

namespace {

template <class Pairs>
PretrainingLosses losses_of(const HybridStreamModelImpl& model, const Pairs& batch, const MaskedTargets& targets,
                            const PretrainingObjectiveOptions& options, const ProcessGroup& group,
                            const at::Tensor& weights, int64_t pairs) {
  const at::Tensor none = at::zeros({}, batch.region_features.options());
  PretrainingLosses losses{none, none, none, none};
  const auto add = [&](at::Tensor& slot, int64_t place, double weight, const at::Tensor& loss) {
    slot = loss.detach();
    losses.total = losses.total + (weights.defined() ? loss * weights.select(0, place) : loss * weight);
  };

  PretrainingOutput output;
  if (options.masked_tokens > 0 || options.masked_regions > 0) {
    // Rows of an objective that is left out would only pass through the heads for nothing.
    const auto rows = [](const at::Tensor& all, double weight) { return weight > 0 ? all : all.narrow(0, 0, 0); };
    output = model.pretrain(batch, rows(targets.token_rows, options.masked_tokens),
                            rows(targets.region_rows, options.masked_regions));
  } else {
    const PairEmbeddings embeddings = model.project(batch);
    output.text_projection = embeddings.text_projection;
    output.region_projection = embeddings.region_projection;
  }
  if (options.masked_tokens > 0) {
    add(losses.masked_tokens, 0, options.masked_tokens,
        masked_token_loss(output.token_scores, targets.token_ids, targets.token_count));
  }
  if (options.masked_regions > 0) {
    const at::Tensor& wanted = region_targets(model, targets, options.region_objective);
    const bool classes = options.region_objective == RegionObjective::classes;
    add(losses.masked_regions, 1, options.masked_regions,
        (classes ? masked_class_loss : masked_feature_loss)(output.region_predictions, wanted, targets.region_count));
  }
  if (options.contrastive > 0) {
    add(losses.contrastive, 2, options.contrastive,
        contrastive_loss(output.region_projection, output.text_projection, options.temperature, group, pairs));
  }
  return losses;
}

}  // namespace

PretrainingLosses pretraining_losses(const HybridStreamModelImpl& model, const PairBatch& batch,
                                     const MaskedTargets& targets, const PretrainingObjectiveOptions& options,
                                     const ProcessGroup& group, const at::Tensor& weights, int64_t pairs) {
  return losses_of(model, batch, targets, options, group, weights, pairs);
}

PretrainingLosses pretraining_losses(const HybridStreamModelImpl& model, const PackedBatch& batch,
                                     const MaskedTargets& targets, const PretrainingObjectiveOptions& options,
                                     const ProcessGroup& group, const at::Tensor& weights, int64_t pairs) {
  return losses_of(model, batch, targets, options, group, weights, pairs);
}

}  // namespace capture
