// The pretraining objectives: masked tokens, masked regions, and image-title contrast (the paper's section 4.2).
#pragma once

#include <ATen/core/Tensor.h>

#include "capture/base/fields.h"
#include "capture/distributed/process_group.h"
#include "capture/tensor/pair_batch.h"

namespace capture {

class HybridStreamModelImpl;

/// What a masked region's prediction is held against.
enum class RegionObjective {
  features,  ///< squared error against the feature before masking
  classes,   ///< KL divergence from the detector's class probabilities
};

struct PretrainingObjectiveOptions {
  double masked_tokens = 1.0;  ///< weights in the total; an objective of weight 0 is not computed
  double masked_regions = 1.0;
  double contrastive = 1.0;
  double temperature = 0.07;
  RegionObjective region_objective = RegionObjective::features;

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

/// 0-dimensional tensors on the model's device; nothing waits for them. Only `total` carries a gradient.
struct PretrainingLosses {
  at::Tensor total;
  at::Tensor masked_tokens;  ///< unweighted, as are the next two; 0 where nothing is masked or the weight is 0
  at::Tensor masked_regions;
  at::Tensor contrastive;
};

/// Cross entropy of scores [M, V] against tokens [M], mean over the rows; 0 without rows, with zero gradients. `count`,
/// here and below: MaskedTargets::token_count or region_count.
at::Tensor masked_token_loss(const at::Tensor& scores, const at::Tensor& tokens, const at::Tensor& count = {});

/// Squared error of predictions [K, D] against features [K, D], mean over rows and columns; 0 without rows.
at::Tensor masked_feature_loss(const at::Tensor& predictions, const at::Tensor& features, const at::Tensor& count = {});

/// KL divergence of softmax(scores) [K, C] from probabilities [K, C]: sum over classes, mean over rows; 0 without rows.
at::Tensor masked_class_loss(const at::Tensor& scores, const at::Tensor& probabilities, const at::Tensor& count = {});

/// NT-Xent over the 2B rows [regions; texts] of projections [B, P], L2-normalised: a row's positive is the same pair's
/// other modality, all other rows are negatives; mean over rows. With several processes the rows are this process's and
/// the columns everyone's, so the mean over processes is the loss of the whole batch; all must hold as many pairs. The
/// `pairs` (Batch::pairs) says which of them count: the others are in neither rows nor columns. 0 where none of this
/// process's counts.
at::Tensor contrastive_loss(const at::Tensor& region_projection, const at::Tensor& text_projection, double temperature,
                            const ProcessGroup& group = {}, int64_t pairs = -1);

/// Runs the model and the objectives. `pairs` as in contrastive_loss(). `weights` [3] float32 on the device, of masked
/// tokens, masked regions and contrast, stand in the total in place of the options' own, which then only say which
/// objectives there are. UserError when the classes are asked for and the data has none, or the model's region_outputs
/// do not fit what is predicted.
PretrainingLosses pretraining_losses(const HybridStreamModelImpl& model, const PairBatch& batch,
                                     const MaskedTargets& targets, const PretrainingObjectiveOptions& options,
                                     const ProcessGroup& group = {}, const at::Tensor& weights = {},
                                     int64_t pairs = -1);
PretrainingLosses pretraining_losses(const HybridStreamModelImpl& model, const PackedBatch& batch,
                                     const MaskedTargets& targets, const PretrainingObjectiveOptions& options,
                                     const ProcessGroup& group = {}, const at::Tensor& weights = {},
                                     int64_t pairs = -1);

}  // namespace capture
