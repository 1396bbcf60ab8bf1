// The co-transformer: pre-LayerNorm blocks (CLIP's form, QuickGELU) over tokens and regions in one sequence.
#pragma once

#include <vector>

#include "capture/model/modules.h"

namespace capture {

struct CoBlockOptions {
  int64_t width;
  int64_t heads;
};

/// x + attention(LayerNorm(x)), then x + down(QuickGELU(up(LayerNorm(x)))). No dropout.
class CoBlockImpl : public torch::nn::Module {
 public:
  explicit CoBlockImpl(const CoBlockOptions& options);

  /// x [B, N, width]; bias [B, 1, 1, N] or undefined → [B, N, width]
  at::Tensor forward(const at::Tensor& x, const at::Tensor& bias) const;

  /// The given rows of forward(), flattened: rows [M] int64 index B·N → [M, width]. Everything after the attention is
  /// computed for those rows alone.
  at::Tensor forward_rows(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& rows) const;

  /// The given positions, the same in every sample, of forward(): → [B, positions, width]. Only they ask queries.
  at::Tensor forward_positions(const at::Tensor& x, const at::Tensor& bias,
                               const std::vector<int64_t>& positions) const;

  /// LinearImpl::pack for the products of forward(), or for those of forward_positions().
  void pack(at::ScalarType type, bool for_positions);

  LayerNorm norm_1 = nullptr;
  Linear qkv = nullptr;
  Linear out = nullptr;
  LayerNorm norm_2 = nullptr;
  Linear up = nullptr;
  Linear down = nullptr;

 private:
  /// What attention adds to the stream, before the output projection: [B, N, width].
  at::Tensor context(const at::Tensor& x, const at::Tensor& bias) const;
  /// The second half of the block, row by row: [..., width] → the same shape.
  at::Tensor mlp(const at::Tensor& x) const;

  /// Some of qkv's rows.
  struct Part {
    at::Tensor weight;
    at::Tensor bias;
  };
  Part queries() const;
  Part keys_values() const;

  int64_t heads_;
  PackedProduct queries_;
  PackedProduct keys_values_;
  PackedProduct up_;    // with QuickGELU's slope in it
  PackedProduct down_;  // and without it again
};
TORCH_MODULE(CoBlock);

class CoStackImpl : public StackImpl<CoBlock> {
 public:
  using StackImpl::StackImpl;
  /// The first `count` blocks.
  at::Tensor forward(at::Tensor x, const at::Tensor& bias, size_t count) const;
};
TORCH_MODULE(CoStack);

}  // namespace capture
