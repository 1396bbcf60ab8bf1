#include "packed_add_norm.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "capture/model/modules.h"
#include "kernels/norm_kernel.h"
#include "packed_dropout.h"
#include "row_blocks.h"

namespace capture {

namespace {

kernels::AddNorm add_norm_of(int64_t width, const kernels::Dropout& dropout, const at::Tensor& streams) {
  return {.width = width,
          .epsilon = static_cast<float>(kLayerNormEpsilon),
          .dropout = dropout,
          .streams = numbers_of(streams, dropout)};
}

struct AddNormFunction : torch::autograd::Function<AddNormFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& added,
                            const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& streams,
                            double probability, bool keeps) {
    RECORD_FUNCTION("capture::add_norm", std::vector<c10::IValue>());
    const kernels::Dropout dropout = draw_dropout(probability);
    const auto op = add_norm_of(x.size(1), dropout, streams);
    const at::Tensor y = at::empty_like(x);
    at::Tensor sums, means, deviations;
    if (keeps) {
      sums = at::empty_like(x);
      means = at::empty({x.size(0)}, x.options());
      deviations = at::empty({x.size(0)}, x.options());
    }
    with_numbers(added, [&](const auto* numbers) {
      for_each_block(x.size(0), [&](int64_t, int64_t first, int64_t last) {
        kernels::add_norm(
            op, first, last, x.const_data_ptr<float>(), numbers, weight.const_data_ptr<float>(),
            bias.const_data_ptr<float>(), y.mutable_data_ptr<float>(), keeps ? sums.mutable_data_ptr<float>() : nullptr,
            keeps ? means.mutable_data_ptr<float>() : nullptr, keeps ? deviations.mutable_data_ptr<float>() : nullptr);
      });
    });
    if (keeps) {
      context->save_for_backward({sums, means, deviations, weight, streams});
      keep(context, dropout, probability);
      context->saved_data["added"] = added.scalar_type() == at::kBFloat16;
    }
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    RECORD_FUNCTION("capture::add_norm_gradient", std::vector<c10::IValue>());
    const auto saved = context->get_saved_variables();
    const at::Tensor& sums = saved[0];
    const int64_t width = sums.size(1);
    const kernels::Dropout dropout = kept_dropout(context);
    const auto op = add_norm_of(width, dropout, saved[4]);
    const bool half = context->saved_data["added"].toBool();

    const at::Tensor y_gradient = gradients[0].contiguous();
    const at::Tensor x_gradient = at::empty_like(sums);
    const at::Tensor added_gradient =
        !half && !dropout.active() ? x_gradient
                                   : at::empty(sums.sizes(), sums.options().dtype(half ? at::kBFloat16 : at::kFloat));
    // Each block adds up the parameters' gradients for itself, so that their order does not depend on the threads.
    const at::Tensor parts = at::zeros({blocks_of(sums.size(0)), 2, width}, sums.options());
    with_numbers(added_gradient, [&](auto* numbers) {
      for_each_block(sums.size(0), [&](int64_t block, int64_t first, int64_t last) {
        float* const part = parts.mutable_data_ptr<float>() + block * 2 * width;
        kernels::add_norm_backward(op, first, last, y_gradient.const_data_ptr<float>(), sums.const_data_ptr<float>(),
                                   saved[1].const_data_ptr<float>(), saved[2].const_data_ptr<float>(),
                                   saved[3].const_data_ptr<float>(), x_gradient.mutable_data_ptr<float>(), numbers,
                                   part, part + width);
      });
    });
    const at::Tensor whole = parts.sum(0);
    return {x_gradient, added_gradient, whole[0], whole[1], {}, {}, {}};
  }
};

}  // namespace

at::Tensor packed_add_norm(const at::Tensor& x, const at::Tensor& added, const at::Tensor& weight,
                           const at::Tensor& bias, const Sequences& sequences, double dropout) {
  const bool keeps = at::GradMode::is_enabled();
  return AddNormFunction::apply(x.to(at::kFloat).contiguous(), added.contiguous(), weight, bias, sequences.streams,
                                dropout, keeps);
}

}  // namespace capture
