// The hybrid-stream model of CAPTURE (Zhan et al., "Product1M: Towards Weakly Supervised Instance-Level Product
// Retrieval via Cross-Modal Pretraining", ICCV 2021): text and image streams, cross layers between them, a
// co-transformer over both. Any part may have no layers, which makes the model a dual encoder (no cross, no co),
// a single stream (co alone), or a two-stream model without the joint part (no co).
//
// Shapes: B pairs, T tokens, R regions and the global one before them, W the width, P the projection width.
// Padding of one sample never reaches another: each gets the result that it would get alone. (The published code
// repeats the co-transformer's mask in the wrong order, so that padding lands on other samples of the batch.)
#pragma once

#include <cstdint>
#include <optional>

#include "capture/model/co_transformer.h"
#include "capture/model/embeddings.h"
#include "capture/model/heads.h"
#include "capture/model/options.h"
#include "capture/model/transformer.h"
#include "capture/tensor/pair_batch.h"

namespace capture {

/// What retrieval uses of a pair, each [B, P] and not negative.
struct PairEmbeddings {
  at::Tensor text_projection;    ///< of position 0 after the text stream; what the contrastive objective compares
  at::Tensor region_projection;  ///< of the global region after the image stream
  /// Of position 0 at the end. With neither cross layers nor co-transformer nothing joins the two sides, and pooled are
  /// the projections themselves.
  at::Tensor text_pooled;
  at::Tensor region_pooled;
};

/// Every stage.
struct HybridStreamOutput {
  at::Tensor text_embeddings;    ///< [B, T, W]
  at::Tensor region_embeddings;  ///< [B, 1 + R, W]
  at::Tensor text_stream;        ///< [B, T, W] after the text stream
  at::Tensor region_stream;      ///< [B, 1 + R, W] after the image stream
  /// ReLU(Linear(W, P)) of the co-transformer's last states; without co-transformer layers its position embedding is
  /// left out too, and the states are those after the cross layers (or, without these, the streams).
  at::Tensor text_sequence;    ///< [B, T, P]
  at::Tensor region_sequence;  ///< [B, 1 + R, P]
  PairEmbeddings embeddings;
};

/// What the pretraining objectives read.
struct PretrainingOutput {
  at::Tensor text_projection;     ///< [B, P]
  at::Tensor region_projection;   ///< [B, P]
  at::Tensor token_scores;        ///< [M, vocabulary]
  at::Tensor region_predictions;  ///< [K, region_prediction_width]
};

class HybridStreamModelImpl : public torch::nn::Module {
 public:
  /// With weights drawn from `seed` (see initialise.h); without one they are left unset, for whoever loads them next.
  /// UserError when the options contradict each other or leave a size open.
  HybridStreamModelImpl(const HybridStreamModelOptions& options, std::optional<uint64_t> seed);

  /// The plain way through the model: every stage, every position.
  HybridStreamOutput forward(const PairBatch& batch) const;

  /// What forward() and the heads give at the masked rows (MaskedTargets says how rows are counted), computing the end
  /// of the last block and the heads for those rows alone. The number of rows is a shape: nothing waits for a device.
  /// A PairBatch is computed by LibTorch's operations alone, as in forward(). The results of a PackedBatch are those of
  /// the same pairs padded, up to rounding, in less time: no filling is computed, and on the CPU products, attention
  /// and LayerNorm run in kernels of our own.
  PretrainingOutput pretrain(const PairBatch& batch, const at::Tensor& token_rows, const at::Tensor& region_rows) const;
  PretrainingOutput pretrain(const PackedBatch& batch, const at::Tensor& token_rows,
                             const at::Tensor& region_rows) const;

  /// forward().embeddings, computing only position 0 of each side at the end.
  PairEmbeddings embed(const PairBatch& batch) const;
  PairEmbeddings embed(const PackedBatch& batch) const;

  /// The two projections alone: stops after the streams, where it computes only position 0; pooled stays undefined.
  PairEmbeddings project(const PairBatch& batch) const;
  PairEmbeddings project(const PackedBatch& batch) const;

  /// Lays the weights of embed(PackedBatch) out for this CPU (see PackedProduct), for products in this type: kFloat, or
  /// kBFloat16 under autocast. Each call then takes less time, and they take twice the memory, or are given up for it:
  /// then the model is good for embed(PackedBatch) and project(PackedBatch) in this type alone. Does nothing on other
  /// devices, or when it was done and no weight changed.
  void pack(at::ScalarType type, PackedWeights weights = PackedWeights::kept);
  /// Gives those copies up: the model takes the memory, and rounds, as if pack() had never been called.
  void unpack();

  /// From now on training recomputes these layers in its backward pass.
  void recompute(Recompute which);

  /// text_sequence rows [..., P] → scores over the vocabulary.
  at::Tensor token_scores(const at::Tensor& text_sequence) const;
  /// region_sequence rows [..., P] → predicted features or class scores.
  at::Tensor region_predictions(const at::Tensor& region_sequence) const;

  const HybridStreamModelOptions& options() const { return options_; }

  TextEmbedding text_embedding = nullptr;
  RegionEmbedding region_embedding = nullptr;
  Stream text_stream = nullptr;
  Stream image_stream = nullptr;
  Linear text_projection = nullptr;
  Linear region_projection = nullptr;
  CrossStream cross = nullptr;
  Embedding co_position = nullptr;  ///< null without co-transformer layers
  CoStack co_transformer = nullptr;
  Linear text_output = nullptr;
  Linear region_output = nullptr;
  TokenHead token_head = nullptr;
  RegionHead region_head = nullptr;

 private:
  struct States;
  States embedded(const PairBatch& batch) const;
  States embedded(const PackedBatch& batch) const;
  void run_streams(States& states) const;
  void run_cross(States& states) const;
  PairEmbeddings projections(const States& states) const;
  at::Tensor joined(const States& states) const;
  PretrainingOutput pretrain_from(States states, const at::Tensor& token_rows, const at::Tensor& region_rows) const;
  PairEmbeddings embed_from(States states) const;
  PairEmbeddings project_from(States states) const;
  PairEmbeddings projections(const at::Tensor& text, const at::Tensor& regions) const;

  HybridStreamModelOptions options_;
};
TORCH_MODULE(HybridStreamModel);

}  // namespace capture
