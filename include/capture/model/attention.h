// Multi-head attention on packed projections: queries, keys and values of a row side by side.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "capture/model/sequences.h"

namespace capture {

/// Each sequence attends to itself: qkv [rows, 3A], the columns being queries, keys and values and in each the heads →
/// contexts [rows, A]. `dropout` of the weights is 0 outside training.
at::Tensor self_attention(const at::Tensor& qkv, const Sequences& sequences, int64_t heads, double dropout);

/// Sequence b of either side attends to sequence b of the other: qkv of each, [rows, 3A] → the contexts of each, [rows,
/// A]. Keys and values of a side serve no query of their own.
std::pair<at::Tensor, at::Tensor> co_attention(const at::Tensor& text_qkv, const Sequences& text,
                                               const at::Tensor& region_qkv, const Sequences& regions, int64_t heads,
                                               double dropout);

/// As many queries for each sequence, [B · P, A], attend to it: keys and values [rows, 2A], whose rows may lie apart →
/// [B · P, A].
at::Tensor attention_of_some(const at::Tensor& queries, const at::Tensor& keys_values, const Sequences& sequences,
                             int64_t heads, double dropout);

/// As many queries for each sequence, [B · P, A], attend to the states themselves, [rows, A], as their keys and values
/// → [B · P, A]. One head, no dropout, no gradients.
at::Tensor attention_to_states(const at::Tensor& queries, const at::Tensor& states, const Sequences& sequences);

/// Views of a packed projection [B, N, parts · heads · d] as `parts` tensors [B, heads, N, d].
std::vector<at::Tensor> split_heads(const at::Tensor& packed, int64_t parts, int64_t heads);

/// softmax(q kᵀ / √d + bias) v with dropout of the weights: q [B, heads, N, d], k and v [B, heads, M, d] → the contexts
/// side by side, [B, N, heads · d]. `bias` [B, 1, 1, M] is added to the scores (see padding_bias); undefined: none.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias,
                  double dropout);

/// mask [B, M] bool, true where there is something to attend to → bias [B, 1, 1, M] float32: 0 there and a number
/// elsewhere that softmax turns into exactly 0. It is finite, so that a row without anything to attend to gets a mean,
/// not NaN.
at::Tensor padding_bias(const at::Tensor& mask);

}  // namespace capture
