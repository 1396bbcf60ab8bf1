// Both optimisers are LibTorch's fused AdamW kernel. BertAdam is AdamW whose bias corrections are 1, which is what they
// are at a very late step.
#include "capture/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "capture/base/error.h"
#include "capture/tensor/safetensors.h"
#include "layer_decay.h"

namespace capture {

namespace {

/// 1 - beta^step is exactly 1 in double precision from here on, for any beta that the options allow.
constexpr float kUncorrectedStep = 0x1.0p40F;

/// What PyTorch's clip_grad_norm_ adds to a norm before dividing by it; parity with the published BertAdam.
constexpr double kNormEpsilon = 1e-6;

/// Whether the parameter is the module of that name or lies in it.
bool fits(const std::string& name, const std::string& prefix) {
  if (!name.starts_with(prefix)) return false;
  return name.size() == prefix.size() || name[prefix.size()] == '.' || prefix.ends_with('.');
}

double scale_of(const std::string& name, const OptimizerOptions& options, bool initialized) {
  if (std::ranges::any_of(options.frozen, [&](const auto& prefix) { return fits(name, prefix); })) return 0;
  double scale = initialized ? options.initialized_scale : 1.0;
  size_t longest = 0;
  for (const auto& [prefix, value] : options.scales) {
    if (!fits(name, prefix) || prefix.size() < longest) continue;
    longest = prefix.size();
    scale = value;
  }
  return scale;
}

}  // namespace

void ParameterScale::visit(FieldVisitor& f) {
  f.field("prefix", prefix, "A module's or parameter's full name, as `capture_weights inspect` prints it.");
  f.field("scale", scale, "Factor on the learning rate of the parameters below it; 0 freezes them.", {0.0, 1000.0});
}

void OptimizerOptions::visit(FieldVisitor& f) {
  f.choice("type", type,
           "adamw: bias-corrected, clipped as one vector. bert_adam: as BERT was published, without bias correction, "
           "each parameter clipped on its own.",
           Choices<OptimizerType>{{"adamw", OptimizerType::adamw}, {"bert_adam", OptimizerType::bert_adam}});
  f.field("learning_rate", learning_rate, "Learning rate at the top of the schedule.", {0.0, 100.0});
  f.field("beta1", beta1, "Decay of the gradient's running mean.", {0.0, 0.999999});
  f.field("beta2", beta2, "Decay of the squared gradient's running mean.", {0.0, 0.9999999});
  f.field("epsilon", epsilon, "Added to the root of the squared gradient's mean.", {1e-30, 1.0});
  f.field("weight_decay", weight_decay, "Decoupled weight decay; never on biases and LayerNorm.", {0.0, 10.0});
  f.field("clip_norm", clip_norm, "Largest norm of the gradient; 0: not clipped.", {0.0, 1e9});
  f.field("initialized_scale", initialized_scale,
          "Factor on the learning rate of parameters that --init filled from BERT weights.", {0.0, 1000.0});
  f.list("scales", scales, "Learning rates by module; the longest prefix that fits a parameter decides.");
  f.field(
      "layer_decay", layer_decay,
      "Factor on the learning rate for every layer that stands between a parameter and the objectives: 1 for the "
      "heads, this for the last joint block, its square for the one before, down to the embeddings; on top of scales.",
      {0.01, 1.0});
  f.field("frozen", frozen,
          "Modules that stay as they are, by name, e.g. [\"text_stream\"]: no gradient is computed for them, and no "
          "optimiser state kept.");
}

void OptimizerOptions::check(FieldChecker& c) const {
  for (const auto& entry : scales) {
    c.require(!entry.prefix.empty(), "scales", "has an entry without a prefix",
              "a module's name, e.g. \"text_stream\"");
    c.require(std::ranges::count(scales, entry.prefix, &ParameterScale::prefix) == 1, "scales",
              "has two entries for \"" + entry.prefix + "\"", "one a module");
  }
  c.require(std::ranges::find(frozen, "") == frozen.end(), "frozen", "has an empty name",
            "a module's name, e.g. \"text_stream\"");
}

bool is_decayed(const at::Tensor& parameter) {
  return parameter.dim() >= 2;
}

Optimizer::Optimizer(NamedTensors parameters, const OptimizerOptions& options,
                     const std::vector<std::string>& initialized)
    : options_(options) {
  for (auto& [name, parameter] : parameters) {
    names_.push_back(name);
    parameters_.push_back(parameter);
  }
  refuse_unknown_prefixes();
  const std::vector<double> decays = layer_scales(names_, options.layer_decay);
  std::map<std::pair<double, bool>, Group> groups;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& parameter = parameters_[i];
    const bool from_bert = std::ranges::find(initialized, names_[i]) != initialized.end();
    const double scale = scale_of(names_[i], options, from_bert) * decays[i];
    const bool trains = scale > 0;
    if (!trains) parameter.set_requires_grad(false);
    moment1_.push_back(trains ? at::zeros_like(parameter) : at::Tensor());
    moment2_.push_back(trains ? at::zeros_like(parameter) : at::Tensor());
    if (!trains) continue;
    auto& group = groups[{scale, is_decayed(parameter)}];
    group.scale = scale;
    group.weight_decay = is_decayed(parameter) ? options.weight_decay : 0.0;
    group.members.push_back(i);
  }
  if (groups.empty()) {
    throw UserError({.what = "optimizer.frozen and optimizer.scales leave nothing to train",
                     .where = "the configuration",
                     .hint = "leave out some of their prefixes"});
  }
  for (auto& [key, group] : groups) groups_.push_back(std::move(group));
  updates_ = at::zeros({}, parameters_.front().options().dtype(at::kFloat));
}

void Optimizer::refuse_unknown_prefixes() const {
  const auto check = [&](const std::string& prefix, const char* key) {
    if (std::ranges::any_of(names_, [&](const auto& name) { return fits(name, prefix); })) return;
    throw UserError({.what = std::string(key) + ": no parameter is named \"" + prefix + "…\"",
                     .allowed = "a module's name, e.g. \"" + names_.front().substr(0, names_.front().find('.')) + "\"",
                     .hint = "run `capture_weights inspect` on a checkpoint's model.safetensors to see all names"});
  };
  for (const auto& [prefix, scale] : options_.scales) check(prefix, "optimizer.scales");
  for (const auto& prefix : options_.frozen) check(prefix, "optimizer.frozen");
}

void Optimizer::clear_gradients() {
  for (const auto& parameter : parameters_) parameter.mutable_grad().reset();
}

/// Scales each gradient to clip_norm at most; returns the norms from before.
std::vector<at::Tensor> Optimizer::clip_each(std::vector<at::Tensor>& gradients) const {
  std::vector<at::Tensor> norms = at::_foreach_norm(gradients, 2);
  if (options_.clip_norm == 0) return norms;
  const at::Tensor factors = (options_.clip_norm / (at::stack(norms) + kNormEpsilon)).clamp_max_(1.0);
  at::_foreach_mul_(gradients, factors.unbind());
  return norms;
}

at::Tensor Optimizer::step(double rate_factor, const at::Tensor& losses) {
  return update([&](const Group& group) { return options_.learning_rate * rate_factor * group.scale; }, losses);
}

at::Tensor Optimizer::step(const at::Tensor& rate_factor, const at::Tensor& losses) {
  return update([&](const Group& group) { return rate_factor * (options_.learning_rate * group.scale); }, losses);
}

at::Tensor Optimizer::update(const std::function<Rate(const Group&)>& rate_of, const at::Tensor& losses) {
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters_) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  if (gradients.empty()) return at::zeros_like(updates_);

  const bool global = options_.type == OptimizerType::adamw;
  const at::Tensor norm = at::stack(global ? at::_foreach_norm(gradients, 2) : clip_each(gradients)).norm();
  const at::Tensor bad = (norm + losses.sum()).isfinite().logical_not_().to(at::kFloat);
  std::optional<at::Tensor> divisor;
  if (global && options_.clip_norm > 0) divisor = ((norm + kNormEpsilon) / options_.clip_norm).clamp_min_(1.0);
  updates_.add_(1.0 - bad);
  const at::Tensor count = global ? updates_ : at::full_like(updates_, kUncorrectedStep);

  for (const auto& group : groups_) {
    std::vector<at::Tensor> parameters, grads, moment1, moment2;
    for (const size_t i : group.members) {
      if (!parameters_[i].grad().defined()) continue;
      parameters.push_back(parameters_[i]);
      grads.push_back(parameters_[i].grad());
      moment1.push_back(moment1_[i]);
      moment2.push_back(moment2_[i]);
    }
    if (parameters.empty()) continue;
    const std::vector<at::Tensor> counts(parameters.size(), count);
    const Rate rate = rate_of(group);
    const auto move = [&](const auto& learning_rate) {
      at::_fused_adamw_(parameters, grads, moment1, moment2, {}, counts, learning_rate, options_.beta1, options_.beta2,
                        group.weight_decay, options_.epsilon, /*amsgrad=*/false, /*maximize=*/false, divisor, bad);
    };
    std::visit(move, rate);
    // The fused kernel does not say that it wrote: whoever keeps something made of a weight (PackedProduct) must see
    // it.
    for (const auto& parameter : parameters) parameter.unsafeGetTensorImpl()->bump_version();
  }
  return norm;
}

NamedTensors Optimizer::state() const {
  NamedTensors tensors = {{"step", updates_}};
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!moment1_[i].defined()) continue;
    tensors.emplace_back(names_[i] + ".moment1", moment1_[i]);
    tensors.emplace_back(names_[i] + ".moment2", moment2_[i]);
  }
  return tensors;
}

void Optimizer::load_state(const SafetensorsFile& file) {
  const NamedTensors tensors = state();
  for (const auto& [name, tensor] : tensors) {
    if (file.contains(name) || !file.contains("step")) continue;
    throw UserError({.what = "has no \"" + name + "\": that parameter was frozen when the checkpoint was written",
                     .where = file.path().string(),
                     .hint = "keep optimizer.frozen and optimizer.scales as they were, or start a new run with --init "
                             "from the checkpoint's model.safetensors"});
  }
  load_tensors(file, tensors);
}

void load_tensors(const SafetensorsFile& file, const NamedTensors& tensors) {
  const at::NoGradGuard no_gradient;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor saved = file.tensor(name);
    if (saved.sizes() != tensor.sizes() || saved.scalar_type() != tensor.scalar_type()) {
      throw UserError({.what = "\"" + name + "\" has another shape or type than the model's parameter",
                       .where = file.path().string(),
                       .hint = "resume with the configuration of the run that wrote it"});
    }
    tensor.copy_(saved);
  }
}

}  // namespace capture
