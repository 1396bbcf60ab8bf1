// Attention of one head over one pair of sequences on the CPU. A sequence here is short (tens of rows), so that a
// head's whole score matrix stays in the cache, and batched library products would spend more time on copies than on
// arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include "dropout.h"

namespace capture::kernels {

/// Rows that lie `stride` numbers apart.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
};

/// One head of one pair.
struct Head {
  int64_t queries;  ///< rows that ask
  int64_t keys;     ///< rows that answer, at least one
  int64_t width;    ///< numbers a row
  float scale;      ///< of the scores: 1 / √width
  Dropout dropout;  ///< of the weights
  uint64_t stream;  ///< of dropout: another one for every head of every pair
};

/// Working memory of a thread, kept between calls.
using Scratch = std::vector<float>;

/// out = dropout(softmax(scale · q kᵀ)) v. `log_sums`, [queries] or null, receives log Σ exp(score) of each query: all
/// that the backward pass needs besides the inputs.
void attend(const Head& head, Rows<const float> q, Rows<const float> k, Rows<const float> v, Rows<float> out,
            float* log_sums, Scratch& scratch);
void attend(const Head& head, Rows<const BFloat16Bits> q, Rows<const BFloat16Bits> k, Rows<const BFloat16Bits> v,
            Rows<BFloat16Bits> out, float* log_sums, Scratch& scratch);

/// The gradients of q, k and v, overwritten, from that of out. Weights and dropout are computed again.
void attend_backward(const Head& head, Rows<const float> q, Rows<const float> k, Rows<const float> v,
                     Rows<const float> out_gradient, const float* log_sums, Rows<float> q_gradient,
                     Rows<float> k_gradient, Rows<float> v_gradient, Scratch& scratch);
void attend_backward(const Head& head, Rows<const BFloat16Bits> q, Rows<const BFloat16Bits> k,
                     Rows<const BFloat16Bits> v, Rows<const BFloat16Bits> out_gradient, const float* log_sums,
                     Rows<BFloat16Bits> q_gradient, Rows<BFloat16Bits> k_gradient, Rows<BFloat16Bits> v_gradient,
                     Scratch& scratch);

}  // namespace capture::kernels
