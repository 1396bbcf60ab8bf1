// Dropout of packed rows on the CPU. What is dropped of a pair is a function of a key and of the pair: the key comes
// from LibTorch's CPU generator, one draw a call, so that seeding that seeds this; the pair's part is in its rows'
// streams. Whoever seeds alike therefore drops alike, however the pairs are divided among batches and processes.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "capture/model/sequences.h"
#include "kernels/dropout.h"

namespace capture {

/// With a new key; none is drawn at probability 0.
kernels::Dropout draw_dropout(double probability);

/// For the backward pass, which drops the same numbers.
void keep(torch::autograd::AutogradContext* context, const kernels::Dropout& dropout, double probability);
kernels::Dropout kept_dropout(torch::autograd::AutogradContext* context);

/// One stream a row (Sequences::streams); null where nothing is dropped, which needs none.
const int64_t* numbers_of(const at::Tensor& streams, const kernels::Dropout& dropout);

/// dropout(rows) while training: without kernels of our own it is LibTorch's.
at::Tensor dropout_rows(const at::Tensor& rows, const Sequences& sequences, double probability, bool training);

}  // namespace capture
