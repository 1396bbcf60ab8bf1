// attention.h for packed sequences on a device for which there are no kernels of our own: LibTorch's operations alone.
// On a GPU that can do it, its kernels read the packed projections in place and are told where each sequence starts.
// Elsewhere sequences are padded for the attention and packed again behind it.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "capture/model/sequences.h"

namespace capture {

at::Tensor varlen_self_attention(const at::Tensor& qkv, const Sequences& sequences, int64_t heads, double dropout);

std::pair<at::Tensor, at::Tensor> varlen_co_attention(const at::Tensor& text_qkv, const Sequences& text,
                                                      const at::Tensor& region_qkv, const Sequences& regions,
                                                      int64_t heads, double dropout);

at::Tensor varlen_attention_of_some(const at::Tensor& queries, const at::Tensor& keys_values,
                                    const Sequences& sequences, int64_t heads, double dropout);

/// Rows of packed sequences: where they lie, and how long the longest is.
struct Packing {
  at::Tensor starts;  ///< as in Sequences
  int64_t longest;
};

/// What computes it.
enum class VarlenWay {
  flash,      ///< FlashAttention: in bfloat16
  efficient,  ///< LibTorch's memory-efficient attention: without dropout alone, see varlen_way()
  padded      ///< what LibTorch has for padded sequences
};

/// From what LibTorch would take for padded sequences (an at::SDPBackend, 0: products and softmax), and whether rows of
/// heads are aligned as its kernels for packed ones want them. Told where sequences start, the memory-efficient kernel
/// draws one dropout in its forward pass and another in its backward pass (LibTorch 2.11): it numbers the forward's
/// weights as if there were no keys.
VarlenWay varlen_way(int64_t for_padded, bool aligned, double dropout);

/// By each of the ways, which give the same but for what dropout draws. Sequence b of the queries q [rows, heads, d]
/// attends to sequence b of the keys and values [rows, heads, d], whose rows may lie apart → contexts [rows of q,
/// heads · d].
at::Tensor varlen_attention(VarlenWay way, const at::Tensor& q, const Packing& queries, const at::Tensor& k,
                            const at::Tensor& v, const Packing& keys, double dropout);

}  // namespace capture
