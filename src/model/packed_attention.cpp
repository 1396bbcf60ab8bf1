#include "packed_attention.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "capture/tensor/parallel.h"
#include "kernels/attention_kernel.h"
#include "packed_dropout.h"

namespace capture {

namespace {

using kernels::BFloat16Bits;
using kernels::Rows;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// A block of columns of a packed projection: the queries, the keys or the values of every row.
struct Columns {
  at::Tensor rows;
  int64_t first;

  template <class T>
  Rows<T> at(int64_t row, int64_t column) const {
    const int64_t stride = rows.stride(0);
    return {static_cast<T*>(const_cast<void*>(rows.const_data_ptr())) + row * stride + first + column, stride};
  }
};

/// One side asking another, or itself.
struct Asking {
  Columns q, k, v;
  at::Tensor q_starts;   ///< [B + 1] int32
  at::Tensor kv_starts;  ///< [B + 1] int32
  int64_t heads;
  int64_t width;  ///< of a head
  kernels::Dropout dropout;

  int64_t queries() const { return q.rows.size(0); }

  /// Calls with every head of every pair, in parallel: (head, first query row, first key row, first column, its number
  /// among the heads).
  template <class Call>
  void for_each_head(const Call& call) const {
    const auto* const from = q_starts.const_data_ptr<int32_t>();
    const auto* const to = kv_starts.const_data_ptr<int32_t>();
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)));
    const int64_t tasks = (q_starts.size(0) - 1) * heads;
    std::vector<kernels::Scratch> scratch(static_cast<size_t>(workers_for(tasks)));
    for_each_task(tasks, [&](int64_t task, int64_t worker) {
      const int64_t pair = task / heads;
      const kernels::Head head = {.queries = from[pair + 1] - from[pair],
                                  .keys = to[pair + 1] - to[pair],
                                  .width = width,
                                  .scale = scale,
                                  .dropout = dropout,
                                  .stream = static_cast<uint64_t>(task)};
      call(head, from[pair], to[pair], task % heads * width, task % heads, scratch[static_cast<size_t>(worker)]);
    });
  }
};

/// log_sums [heads, queries] or undefined.
template <class T>
at::Tensor forward_as(const Asking& asking, const at::Tensor& log_sums) {
  const at::Tensor out = at::empty({asking.queries(), asking.heads * asking.width}, asking.q.rows.options());
  const Columns result{out, 0};
  asking.for_each_head([&](const kernels::Head& head, int64_t q_row, int64_t kv_row, int64_t column, int64_t number,
                           kernels::Scratch& scratch) {
    float* const sums =
        log_sums.defined() ? log_sums.mutable_data_ptr<float>() + number * asking.queries() + q_row : nullptr;
    kernels::attend(head, asking.q.at<const T>(q_row, column), asking.k.at<const T>(kv_row, column),
                    asking.v.at<const T>(kv_row, column), result.at<T>(q_row, column), sums, scratch);
  });
  return out;
}

at::Tensor forward(const Asking& asking, const at::Tensor& log_sums) {
  RECORD_FUNCTION("capture::attention", std::vector<c10::IValue>());
  if (asking.q.rows.scalar_type() == at::kFloat) return forward_as<float>(asking, log_sums);
  TORCH_CHECK(asking.q.rows.scalar_type() == at::kBFloat16, "attention: float32 or bfloat16");
  return forward_as<BFloat16Bits>(asking, log_sums);
}

/// The gradients' columns lie as the inputs' do.
template <class T>
void backward_as(const Asking& asking, const at::Tensor& gradient, const at::Tensor& log_sums,
                 const at::Tensor& q_gradient, const at::Tensor& kv_gradient) {
  const Columns out{gradient, 0};
  const Columns q{q_gradient, asking.q.first};
  const Columns k{kv_gradient, asking.k.first};
  const Columns v{kv_gradient, asking.v.first};
  asking.for_each_head([&](const kernels::Head& head, int64_t q_row, int64_t kv_row, int64_t column, int64_t number,
                           kernels::Scratch& scratch) {
    kernels::attend_backward(head, asking.q.at<const T>(q_row, column), asking.k.at<const T>(kv_row, column),
                             asking.v.at<const T>(kv_row, column), out.at<const T>(q_row, column),
                             log_sums.const_data_ptr<float>() + number * asking.queries() + q_row,
                             q.at<T>(q_row, column), k.at<T>(kv_row, column), v.at<T>(kv_row, column), scratch);
  });
}

void backward(const Asking& asking, const at::Tensor& gradient, const at::Tensor& log_sums,
              const at::Tensor& q_gradient, const at::Tensor& kv_gradient) {
  RECORD_FUNCTION("capture::attention_gradient", std::vector<c10::IValue>());
  if (asking.q.rows.scalar_type() == at::kFloat) {
    backward_as<float>(asking, gradient, log_sums, q_gradient, kv_gradient);
  } else {
    backward_as<BFloat16Bits>(asking, gradient, log_sums, q_gradient, kv_gradient);
  }
}

/// The queries of `from`'s projection ask the keys and values of `to`'s.
Asking asking_of(const at::Tensor& from, const at::Tensor& from_starts, const at::Tensor& to,
                 const at::Tensor& to_starts, int64_t heads, const kernels::Dropout& dropout) {
  const int64_t all = from.size(1) / 3;
  return {{from, 0}, {to, all}, {to, 2 * all}, from_starts, to_starts, heads, all / heads, dropout};
}

at::Tensor empty_log_sums(const at::Tensor& rows, int64_t heads, bool keeps) {
  return keeps ? at::empty({heads, rows.size(0)}, rows.options().dtype(at::kFloat)) : at::Tensor();
}

void keep(AutogradContext* context, const kernels::Dropout& dropout, double probability, int64_t heads) {
  context->saved_data["key"] = static_cast<int64_t>(dropout.key);
  context->saved_data["probability"] = probability;
  context->saved_data["heads"] = heads;
}

kernels::Dropout kept_dropout(AutogradContext* context) {
  const double probability = context->saved_data["probability"].toDouble();
  const auto key = static_cast<uint64_t>(context->saved_data["key"].toInt());
  return probability > 0 ? kernels::dropout(probability, key) : kernels::Dropout{};
}

struct SelfAttention : torch::autograd::Function<SelfAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, const at::Tensor& starts, int64_t heads,
                            double probability, bool keeps) {
    const kernels::Dropout dropout = draw_dropout(probability);
    const at::Tensor log_sums = empty_log_sums(qkv, heads, keeps);
    const at::Tensor out = capture::forward(asking_of(qkv, starts, qkv, starts, heads, dropout), log_sums);
    if (keeps) {
      context->save_for_backward({qkv, starts, log_sums});
      keep(context, dropout, probability, heads);
    }
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor gradient = at::empty_like(saved[0]);
    capture::backward(
        asking_of(saved[0], saved[1], saved[0], saved[1], context->saved_data["heads"].toInt(), kept_dropout(context)),
        gradients[0].contiguous(), saved[2], gradient, gradient);
    return {gradient, {}, {}, {}, {}};
  }
};

/// a and b ask each other. The two directions write different columns of the same gradients.
struct CoAttention : torch::autograd::Function<CoAttention> {
  static variable_list forward(AutogradContext* context, const at::Tensor& a, const at::Tensor& a_starts,
                               const at::Tensor& b, const at::Tensor& b_starts, int64_t heads, double probability,
                               bool keeps) {
    const kernels::Dropout dropout = draw_dropout(probability);
    const at::Tensor a_sums = empty_log_sums(a, heads, keeps);
    const at::Tensor b_sums = empty_log_sums(b, heads, keeps);
    const at::Tensor a_out = capture::forward(asking_of(a, a_starts, b, b_starts, heads, dropout), a_sums);
    const at::Tensor b_out = capture::forward(asking_of(b, b_starts, a, a_starts, heads, other(dropout)), b_sums);
    if (keeps) {
      context->save_for_backward({a, a_starts, b, b_starts, a_sums, b_sums});
      keep(context, dropout, probability, heads);
    }
    return {a_out, b_out};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto heads = context->saved_data["heads"].toInt();
    const kernels::Dropout dropout = kept_dropout(context);
    const at::Tensor a_gradient = at::empty_like(saved[0]);
    const at::Tensor b_gradient = at::empty_like(saved[2]);
    capture::backward(asking_of(saved[0], saved[1], saved[2], saved[3], heads, dropout), gradients[0].contiguous(),
                      saved[4], a_gradient, b_gradient);
    capture::backward(asking_of(saved[2], saved[3], saved[0], saved[1], heads, other(dropout)),
                      gradients[1].contiguous(), saved[5], b_gradient, a_gradient);
    return {a_gradient, {}, b_gradient, {}, {}, {}, {}};
  }

  /// The second direction draws other weights to drop.
  static kernels::Dropout other(kernels::Dropout dropout) {
    dropout.key = ~dropout.key;
    return dropout;
  }
};

/// As many queries of each sequence ask all its keys and values, which stand side by side.
struct AttentionOfSome : torch::autograd::Function<AttentionOfSome> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries, const at::Tensor& keys_values,
                            const at::Tensor& starts, int64_t heads, double probability, bool keeps) {
    const kernels::Dropout dropout = draw_dropout(probability);
    const at::Tensor log_sums = empty_log_sums(queries, heads, keeps);
    const at::Tensor out = capture::forward(asking(queries, keys_values, starts, heads, dropout), log_sums);
    if (keeps) {
      context->save_for_backward({queries, keys_values, starts, log_sums});
      keep(context, dropout, probability, heads);
    }
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor q_gradient = at::empty(saved[0].sizes(), saved[0].options());
    const at::Tensor kv_gradient = at::empty(saved[1].sizes(), saved[1].options());
    capture::backward(asking(saved[0], saved[1], saved[2], context->saved_data["heads"].toInt(), kept_dropout(context)),
                      gradients[0].contiguous(), saved[3], q_gradient, kv_gradient);
    return {q_gradient, kv_gradient, {}, {}, {}, {}};
  }

  static Asking asking(const at::Tensor& queries, const at::Tensor& keys_values, const at::Tensor& starts,
                       int64_t heads, const kernels::Dropout& dropout) {
    const int64_t all = queries.size(1);
    const int64_t pairs = starts.size(0) - 1;
    const auto each = static_cast<int32_t>(queries.size(0) / pairs);
    return {{queries, 0}, {keys_values, 0}, {keys_values, all}, at::arange(pairs + 1, at::kInt) * each, starts, heads,
            all / heads,  dropout};
  }
};

}  // namespace

at::Tensor packed_self_attention(const at::Tensor& qkv, const Sequences& sequences, int64_t heads, double dropout) {
  return SelfAttention::apply(qkv, sequences.starts, heads, dropout, at::GradMode::is_enabled());
}

std::pair<at::Tensor, at::Tensor> packed_co_attention(const at::Tensor& text_qkv, const Sequences& text,
                                                      const at::Tensor& region_qkv, const Sequences& regions,
                                                      int64_t heads, double dropout) {
  const auto contexts =
      CoAttention::apply(text_qkv, text.starts, region_qkv, regions.starts, heads, dropout, at::GradMode::is_enabled());
  return {contexts[0], contexts[1]};
}

at::Tensor packed_attention_of_some(const at::Tensor& queries, const at::Tensor& keys_values,
                                    const Sequences& sequences, int64_t heads, double dropout) {
  return AttentionOfSome::apply(queries, keys_values, sequences.starts, heads, dropout, at::GradMode::is_enabled());
}

}  // namespace capture
