// attention.h for packed sequences on the CPU: kernels of our own, which read and write the packed projections in
// place.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "capture/model/sequences.h"

namespace capture {

at::Tensor packed_self_attention(const at::Tensor& qkv, const Sequences& sequences, int64_t heads, double dropout);

std::pair<at::Tensor, at::Tensor> packed_co_attention(const at::Tensor& text_qkv, const Sequences& text,
                                                      const at::Tensor& region_qkv, const Sequences& regions,
                                                      int64_t heads, double dropout);

at::Tensor packed_attention_of_some(const at::Tensor& queries, const at::Tensor& keys_values,
                                    const Sequences& sequences, int64_t heads, double dropout);

at::Tensor packed_attention_to_states(const at::Tensor& queries, const at::Tensor& states, const Sequences& sequences);

}  // namespace capture
