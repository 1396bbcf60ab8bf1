// One pass of a model over pairs, in whatever batches and order they come.
#pragma once

#include <ATen/core/grad_mode.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <span>
#include <string>

#include "capture/model/hybrid_stream.h"
#include "capture/retrieval/embedder.h"
#include "capture/tensor/device.h"

namespace capture {

class Tokenizer;

/// UserError, naming `where`, unless the model was made for the tokenizer, for features of this width and for so many
/// tokens and regions.
void require_fit(const HybridStreamModelOptions& model, const Tokenizer& tokenizer, int64_t feature_width,
                 int64_t max_tokens, int64_t max_regions, const std::string& where);

/// While it lives, this thread records no gradients. The model is left in evaluation mode, on the CPU with its weights
/// packed where batches are.
class EmbeddingPass {
 public:
  /// For `rows` pairs. The model must be on `device`.
  EmbeddingPass(HybridStreamModel& model, at::Device device, const EmbedderOptions& options, int64_t rows);

  /// Embeds a batch; its pair b becomes row rows[b] of the result, and pairs behind `rows` none. Where
  /// EmbedderOptions::packed holds, a padded batch is packed first on the CPU, so that either form gives the same.
  void add(const PairBatch& batch, std::span<const int64_t> rows);
  void add(const PackedBatch& batch, std::span<const int64_t> rows);

  /// float32 on the CPU, [rows, P] each; zero where no pair was placed.
  const PairEmbeddings& result() const { return all_; }

 private:
  /// Keeps what the model found in a batch.
  void place(const PairEmbeddings& found, std::span<const int64_t> rows);

  HybridStreamModel& model_;
  at::Device device_;
  at::NoGradGuard no_grad_;
  AutocastScope autocast_;
  bool packed_;
  bool pooled_;
  PairEmbeddings all_;
};

}  // namespace capture
