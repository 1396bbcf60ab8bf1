// Attention of a few rows of each sequence, with the projections of keys and values moved to the rows that ask.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "capture/model/packed_product.h"
#include "capture/model/sequences.h"

namespace capture {

/// Self-attention of a few rows, for inference on the CPU. With q a query of a head, y the states, p its weights:
///
///   q · (W_k y + b_k) = (W_kᵀ q) · y + (q · b_k)      and      Σ p (W_v y + b_v) = W_v (Σ p y) + b_v
///
/// q · b_k is the same for all keys, and softmax takes it out. So the queries attend to the states themselves, and the
/// products with W_k and W_v are done for the rows that ask instead of for all: for a pair's two of 73 rows of the full
/// model's last block, a thirtieth of the work. The weights are laid out as PackedProduct's are.
class AbsorbedAttention {
 public:
  AbsorbedAttention() = default;

  /// weight [3W, W] and bias [3W]: queries, keys and values, and in each the heads.
  AbsorbedAttention(const at::Tensor& weight, const at::Tensor& bias, int64_t heads, at::ScalarType type);

  /// As PackedProduct's.
  bool made_of(const at::Tensor& weight, at::ScalarType type) const;
  void give_up(at::Tensor& weight);
  bool serves(const at::Tensor& weight) const;

  /// states [rows, W], of which `rows` [M] int64 ask, as many of each sequence and one sequence's behind the other's →
  /// contexts [M, W], of the packed type.
  at::Tensor operator()(const at::Tensor& states, const at::Tensor& rows, const Sequences& sequences) const;

 private:
  PackedProduct queries_;
  std::vector<PackedProduct> keys_;    // of each head: a query → what it asks of the states [W]
  std::vector<PackedProduct> values_;  // of each head: a weighted mean of the states → its context
};

}  // namespace capture
