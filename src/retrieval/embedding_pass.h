// One pass of a model over pairs, in whatever batches and order they come.
#pragma once

#include <ATen/core/grad_mode.h>
#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capture/data/batch_copier.h"
#include "capture/model/hybrid_stream.h"
#include "capture/retrieval/embedder.h"
#include "capture/tensor/device.h"

namespace capture {

class Tokenizer;

/// UserError, naming `where`, unless the model was made for the tokenizer, for features of this width and for so many
/// tokens and regions.
void require_fit(const HybridStreamModelOptions& model, const Tokenizer& tokenizer, int64_t feature_width,
                 int64_t max_tokens, int64_t max_regions, const std::string& where);

/// While it lives, this thread records no gradients. The model is left in evaluation mode; where batches are packed
/// and it is on the CPU, so are its weights.
class EmbeddingPass {
 public:
  /// For `rows` pairs. The model must be on `device`.
  EmbeddingPass(HybridStreamModel& model, at::Device device, const EmbedderOptions& options, int64_t rows);

  /// Embeds a batch of the host; its pair b becomes row rows[b] of the result, and pairs behind `rows` none. Where
  /// EmbedderOptions::packed holds, a padded batch is packed first, so that either form gives the same. On a GPU the
  /// host waits for the batch before: this one is computed while the next is made.
  void add(Batch batch, std::span<const int64_t> rows);

  /// float32 on the CPU, [rows, P] each; zero where no pair was placed.
  const PairEmbeddings& result();

 private:
  /// What the model found in a batch, on its way to the host.
  struct Coming {
    PairEmbeddings values;  ///< there, float32
    std::vector<int64_t> rows;
    std::optional<c10::Event> arrived;
  };

  Coming fetch(const PairEmbeddings& found, std::span<const int64_t> rows) const;

  /// Puts what is coming where it belongs.
  void place();

  HybridStreamModel& model_;
  at::Device device_;
  BatchCopier copier_;
  at::NoGradGuard no_grad_;
  AutocastScope autocast_;
  bool packed_;
  bool pooled_;
  std::optional<Coming> coming_;
  PairEmbeddings all_;
};

}  // namespace capture
