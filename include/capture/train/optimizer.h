// AdamW and BertAdam, in one fused pass over the parameters, with clipping that never waits for the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "capture/base/fields.h"

namespace capture {

class SafetensorsFile;

enum class OptimizerType { adamw, bert_adam };

/// A learning rate of its own for the parameters of one module.
struct ParameterScale {
  std::string prefix = {};  ///< "text_stream" takes "text_stream.0.…"; the longest prefix that fits decides
  double scale = 1.0;

  void visit(FieldVisitor& f);
};

struct OptimizerOptions {
  /// adamw: bias-corrected moments, the gradient clipped as one vector (Loshchilov and Hutter, ICLR 2019).
  /// bert_adam: no bias correction, every parameter's gradient clipped on its own, as BERT and CAPTURE were published.
  OptimizerType type = OptimizerType::adamw;
  double learning_rate = 1e-4;  ///< at the top of the schedule
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;      ///< decoupled; never on biases and LayerNorm
  double clip_norm = 1.0;          ///< 0: no clipping
  double initialized_scale = 1.0;  ///< × learning rate for parameters that --init filled from BERT weights
  std::vector<ParameterScale> scales = {};
  double layer_decay = 1.0;              ///< × learning rate for each layer further from the objectives
  std::vector<std::string> frozen = {};  ///< modules, by prefix, whose parameters stay as they are

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Overwrites the tensors by those of the same names. UserError, naming file and tensor, when one is missing or has
/// another shape or type.
void load_tensors(const SafetensorsFile& file, const NamedTensors& tensors);

/// Whether weight decay falls on a parameter: on matrices and embeddings (two dimensions or more), never on biases and
/// LayerNorm's vectors.
bool is_decayed(const at::Tensor& parameter);

/// The parameters, their moments, and the update.
class Optimizer {
 public:
  /// `initialized`: names of parameters under `initialized_scale`. Parameters that are frozen, or whose scale is 0, are
  /// told to ask for no gradient, and no moments are kept of them. UserError when a prefix in `scales` or `frozen` fits
  /// no parameter, or nothing is left to train.
  Optimizer(NamedTensors parameters, const OptimizerOptions& options, const std::vector<std::string>& initialized = {});

  /// One update at `rate_factor` × the configured learning rate. `losses` is what the step computed, any shape: when it
  /// or the gradient holds a number that is not finite, nothing at all changes, decided on the device. Parameters
  /// without a gradient are left alone. Returns the gradient's norm before clipping, a scalar on the device.
  at::Tensor step(double rate_factor, const at::Tensor& losses);

  /// The same with the factor, a float32 scalar, on the device: nothing of the host decides what is done, so that the
  /// work can be recorded and repeated (StepGraphs). The learning rate is rounded to float32.
  at::Tensor step(const at::Tensor& rate_factor, const at::Tensor& losses);

  /// Drops the gradients; the next backward pass hands over fresh ones without adding to zeros.
  void clear_gradients();

  /// All of them, the frozen ones too.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }

  /// "step", then "<parameter>.moment1" and "<parameter>.moment2" of each parameter that trains: what a checkpoint
  /// keeps.
  NamedTensors state() const;

  /// Takes state() back. UserError when the file has no moments of a parameter, because it was frozen then, or has
  /// other shapes.
  void load_state(const SafetensorsFile& file);

 private:
  /// Parameters that share a learning rate and a weight decay.
  struct Group {
    double scale;
    double weight_decay;
    std::vector<size_t> members;
  };

  /// A learning rate that the host knows, or one on the device.
  using Rate = std::variant<double, at::Tensor>;

  void refuse_unknown_prefixes() const;
  at::Tensor update(const std::function<Rate(const Group&)>& rate_of, const at::Tensor& losses);
  std::vector<at::Tensor> clip_each(std::vector<at::Tensor>& gradients) const;

  OptimizerOptions options_;
  std::vector<std::string> names_;
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> moment1_;  // undefined where frozen, like moment2_
  std::vector<at::Tensor> moment2_;
  std::vector<Group> groups_;
  at::Tensor updates_;  // number of updates made, a float32 scalar on the device
};

}  // namespace capture
