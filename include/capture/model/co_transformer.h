// The co-transformer: pre-LayerNorm blocks (CLIP's form, QuickGELU) over tokens and regions in one sequence.
#pragma once

#include "capture/model/absorbed_attention.h"
#include "capture/model/modules.h"
#include "capture/model/sequences.h"

namespace capture {

/// QuickGELU is a · sigmoid(1.702 a).
inline constexpr double kQuickGeluSlope = 1.702;

struct CoBlockOptions {
  int64_t width;
  int64_t heads;
};

/// x + attention(LayerNorm(x)), then x + down(QuickGELU(up(LayerNorm(x)))). No dropout.
class CoBlockImpl : public torch::nn::Module {
 public:
  explicit CoBlockImpl(const CoBlockOptions& options);

  /// [rows, width] → the same shape
  at::Tensor forward(const at::Tensor& x, const Sequences& sequences) const;

  /// The given rows of forward(): rows [M] int64 → [M, width]. Everything after the attention is computed for those
  /// rows alone.
  at::Tensor forward_rows(const at::Tensor& x, const Sequences& sequences, const at::Tensor& rows) const;

  /// The same where the rows are P of each sequence, one sequence's behind the other's: only they ask queries.
  at::Tensor forward_some(const at::Tensor& x, const Sequences& sequences, const at::Tensor& rows) const;

  /// LinearImpl::pack for the products of forward(), or for those of forward_some().
  void pack(at::ScalarType type, bool for_some, PackedWeights weights = PackedWeights::kept);
  void unpack();

  LayerNorm norm_1 = nullptr;
  Linear qkv = nullptr;
  Linear out = nullptr;
  LayerNorm norm_2 = nullptr;
  Linear up = nullptr;
  Linear down = nullptr;

 private:
  /// What attention adds to the stream, before the output projection: [rows, width].
  at::Tensor context(const at::Tensor& x, const Sequences& sequences) const;
  /// The same for some rows, as forward_some() takes them: [M, width].
  at::Tensor context_of_some(const at::Tensor& x, const Sequences& sequences, const at::Tensor& rows) const;
  /// The second half of the block, row by row: [rows, width] → the same shape.
  at::Tensor mlp(const at::Tensor& x) const;

  int64_t heads_;
  AbsorbedAttention absorbed_;
  PackedProduct up_;    // with QuickGELU's slope in it
  PackedProduct down_;  // and without it again
};
TORCH_MODULE(CoBlock);

class CoStackImpl : public StackImpl<CoBlock> {
 public:
  using StackImpl::StackImpl;
  /// The first `count` blocks.
  at::Tensor forward(at::Tensor x, const Sequences& sequences, size_t count) const;
};
TORCH_MODULE(CoStack);

}  // namespace capture
