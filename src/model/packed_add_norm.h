// The end of every half of a post-LayerNorm layer on the CPU, in one pass forward and one back.
#pragma once

#include <ATen/core/Tensor.h>

#include "capture/model/sequences.h"

namespace capture {

/// LayerNorm(x + dropout(added)) with kLayerNormEpsilon: x and added [rows, width], float32 or bfloat16, weight and
/// bias [width] → [rows, width] float32. Rows are those of the sequences, whose streams dropout needs.
at::Tensor packed_add_norm(const at::Tensor& x, const at::Tensor& added, const at::Tensor& weight,
                           const at::Tensor& bias, const Sequences& sequences, double dropout);

}  // namespace capture
