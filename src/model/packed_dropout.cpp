#include "packed_dropout.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/record_function.h>

#include <mutex>
#include <type_traits>

#include "plain_form.h"
#include "row_blocks.h"

namespace capture {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor dropped(const at::Tensor& rows, const at::Tensor& streams, const kernels::Dropout& dropout) {
  RECORD_FUNCTION("capture::dropout", std::vector<c10::IValue>());
  const at::Tensor out = at::empty_like(rows);
  with_numbers(out, [&](auto* numbers) {
    using Number = std::remove_reference_t<decltype(*numbers)>;
    const auto* const from = static_cast<const Number*>(rows.const_data_ptr());
    for_each_block(rows.size(0), [&](int64_t, int64_t first, int64_t last) {
      kernels::drop_rows(dropout, numbers_of(streams, dropout), first, last, rows.size(1), from, numbers);
    });
  });
  return out;
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& rows, const at::Tensor& streams,
                            double probability) {
    const kernels::Dropout dropout = draw_dropout(probability);
    context->save_for_backward({streams});
    keep(context, dropout, probability);
    return dropped(rows, streams, dropout);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    return {dropped(gradients[0].contiguous(), context->get_saved_variables()[0], kept_dropout(context)), {}, {}};
  }
};

}  // namespace

kernels::Dropout draw_dropout(double probability) {
  if (probability == 0) return {};
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return kernels::dropout(probability, at::check_generator<at::CPUGeneratorImpl>(generator)->random64());
}

void keep(AutogradContext* context, const kernels::Dropout& dropout, double probability) {
  context->saved_data["key"] = static_cast<int64_t>(dropout.key);
  context->saved_data["probability"] = probability;
}

kernels::Dropout kept_dropout(AutogradContext* context) {
  const double probability = context->saved_data["probability"].toDouble();
  const auto key = static_cast<uint64_t>(context->saved_data["key"].toInt());
  return probability > 0 ? kernels::dropout(probability, key) : kernels::Dropout{};
}

const int64_t* numbers_of(const at::Tensor& streams, const kernels::Dropout& dropout) {
  if (!dropout.active()) return nullptr;
  TORCH_CHECK(streams.defined(), "dropout of packed sequences needs their streams");
  return streams.const_data_ptr<int64_t>();
}

at::Tensor dropout_rows(const at::Tensor& rows, const Sequences& sequences, double probability, bool training) {
  if (!own_kernels(sequences)) return at::dropout(rows, probability, training);
  return training && probability > 0 ? DropoutFunction::apply(rows.contiguous(), sequences.streams, probability) : rows;
}

}  // namespace capture
