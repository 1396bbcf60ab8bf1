#include "capture/train/bad_numbers.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "layer_decay.h"
#include "number_watch.h"

namespace capture {

namespace {

/// More are no help to whoever reads the list.
constexpr size_t kMostRows = 8;

/// Pairs `first` to `last` of a batch.
PairBatch some_pairs(const PairBatch& batch, int64_t first, int64_t last) {
  const auto part = [&](const at::Tensor& tensor) { return tensor.narrow(0, first, last - first); };
  PairBatch some = batch;
  for (at::Tensor* tensor :
       {&some.token_ids, &some.text_mask, &some.region_features, &some.region_locations, &some.region_mask}) {
    *tensor = part(*tensor);
  }
  return some;
}

/// The targets among flattened rows `first` to `last`, counted from there.
struct SomeRows {
  at::Tensor rows;
  at::Tensor chosen;
};

SomeRows some_rows(const at::Tensor& rows, int64_t first, int64_t last) {
  const at::Tensor chosen = rows.ge(first).logical_and_(rows.lt(last)).nonzero().squeeze(1);
  return {rows.index_select(0, chosen) - first, chosen};
}

MaskedTargets some_targets(const Batch& batch, int64_t first, int64_t last) {
  const int64_t tokens = batch.inputs.token_ids.size(1);
  const int64_t regions = batch.inputs.region_features.size(1);
  const MaskedTargets& all = batch.targets;
  const SomeRows text = some_rows(all.token_rows, first * tokens, last * tokens);
  const SomeRows image = some_rows(all.region_rows, first * regions, last * regions);
  MaskedTargets some{.token_rows = text.rows,
                     .token_ids = all.token_ids.index_select(0, text.chosen),
                     .region_rows = image.rows,
                     .region_features = all.region_features.index_select(0, image.chosen),
                     .region_classes = {}};
  if (all.region_classes.defined()) some.region_classes = all.region_classes.index_select(0, image.chosen);
  return some;
}

std::string text_of(const FirstBadNumber& first) {
  const std::string place =
      first.module.empty() ? "before any module" : (first.in_module ? "" : "after ") + first.module;
  return place + " (" + first.operation + ")";
}

class Search {
 public:
  Search(const HybridStreamModel& model, const Batch& batch, const PretrainingObjectiveOptions& objective,
         at::Device device, Precision precision)
      : model_(model), batch_(batch), objective_(objective), device_(device), precision_(precision) {
    for (const auto& item : model->named_parameters()) {
      parameters_.emplace_back(item.key(), item.value());
      if (!item.value().requires_grad()) continue;
      trained_.push_back(item.value());
      trained_names_.push_back(item.key());
    }
    nearness_ = layer_scales(trained_names_, 0.5);
  }

  std::optional<BadNumbers> run() {
    if (auto found = in_inputs()) return found;
    for (const auto& [name, parameter] : parameters_) {
      if (!at::isfinite(parameter.detach()).all().item<bool>()) return BadNumbers{"the parameter " + name, {}};
    }
    const auto first = rerun(0, batch_.inputs.size());
    if (!first) return std::nullopt;
    BadNumbers found{*first, {}};
    add_culprits(0, batch_.inputs.size(), found.rows);
    return found;
  }

 private:
  std::optional<BadNumbers> in_inputs() const {
    const auto& inputs = batch_.inputs;
    for (const auto& [tensor, name] : {std::pair(inputs.region_features, "the region features"),
                                       std::pair(inputs.region_locations, "the regions' places")}) {
      const at::Tensor bad = at::isfinite(tensor).flatten(1).all(1).logical_not_().nonzero().squeeze(1);
      if (bad.numel() == 0) continue;
      const int64_t* rows = bad.const_data_ptr<int64_t>();
      const auto count = std::min(static_cast<size_t>(bad.numel()), kMostRows);
      return BadNumbers{name, {rows, rows + count}};
    }
    return std::nullopt;
  }

  /// One pass over some of the pairs: where it goes wrong, if it does.
  std::optional<std::string> rerun(int64_t first, int64_t last) const {
    const PairBatch inputs = to(some_pairs(batch_.inputs, first, last), device_);
    const MaskedTargets targets = to(some_targets(batch_, first, last), device_);
    at::Tensor total;
    {
      NumberWatch watch(parameters_);
      const AutocastScope autocast(device_, precision_);
      total = pretraining_losses(*model_, inputs, targets, objective_).total;
      if (watch.first()) return text_of(*watch.first());
    }
    return total.requires_grad() ? in_gradients(total) : std::nullopt;
  }

  /// Of the parameters whose gradient is not finite, the one that the backward pass comes to first.
  std::optional<std::string> in_gradients(const at::Tensor& total) const {
    // Asked for by name, gradients reach no parameter's own, nor whoever waits for those.
    const auto gradients = torch::autograd::grad({total}, trained_, {}, {}, /*create_graph=*/false,
                                                 /*allow_unused=*/true);
    std::optional<size_t> found;
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined() || at::isfinite(gradients[i]).all().item<bool>()) continue;
      if (!found || nearness_[i] >= nearness_[*found]) found = i;
    }
    return found ? std::optional("the gradient of " + trained_names_[*found]) : std::nullopt;
  }

  /// Of pairs that together give bad numbers, those that do it alone.
  void add_culprits(int64_t first, int64_t last, std::vector<int64_t>& rows) const {
    if (last - first == 1) {
      rows.push_back(first);
      return;
    }
    const int64_t middle = (first + last) / 2;
    for (const auto& [from, to] : {std::pair(first, middle), std::pair(middle, last)}) {
      if (rows.size() < kMostRows && rerun(from, to)) add_culprits(from, to, rows);
    }
  }

  const HybridStreamModel& model_;
  const Batch& batch_;
  const PretrainingObjectiveOptions& objective_;
  at::Device device_;
  Precision precision_;
  std::vector<std::pair<std::string, at::Tensor>> parameters_;
  std::vector<at::Tensor> trained_;
  std::vector<std::string> trained_names_;
  std::vector<double> nearness_;  // to the objectives
};

}  // namespace

std::optional<BadNumbers> find_bad_numbers(const HybridStreamModel& model, const Batch& batch,
                                           const PretrainingObjectiveOptions& objective, at::Device device,
                                           Precision precision) {
  return Search(model, batch, objective, device, precision).run();
}

}  // namespace capture
