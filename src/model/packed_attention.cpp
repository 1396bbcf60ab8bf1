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
  at::Tensor streams;    ///< of dropout, of the rows that are asked; a pair's heads read its first rows' ones
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
    const int64_t* const drawn = numbers_of(streams, dropout);
    std::vector<kernels::Scratch> scratch(static_cast<size_t>(workers_for(tasks)));
    for_each_task(tasks, [&](int64_t task, int64_t worker) {
      const int64_t pair = task / heads;
      const kernels::Head head = {
          .queries = from[pair + 1] - from[pair],
          .keys = to[pair + 1] - to[pair],
          .width = width,
          .scale = scale,
          .dropout = dropout,
          .stream = drawn == nullptr ? 0 : static_cast<uint64_t>(drawn[to[pair]] + task % heads)};
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

/// A projection of sequences, and where these lie.
struct Side {
  at::Tensor qkv;
  at::Tensor starts;
  at::Tensor streams;
};

/// The queries of `from` ask the keys and values of `to`.
Asking asking_of(const Side& from, const Side& to, int64_t heads, const kernels::Dropout& dropout) {
  const int64_t all = from.qkv.size(1) / 3;
  return {{from.qkv, 0}, {to.qkv, all}, {to.qkv, 2 * all}, from.starts, to.starts,
          to.streams,    heads,         all / heads,       dropout};
}

at::Tensor empty_log_sums(const at::Tensor& rows, int64_t heads, bool keeps) {
  return keeps ? at::empty({heads, rows.size(0)}, rows.options().dtype(at::kFloat)) : at::Tensor();
}

void keep_attention(AutogradContext* context, const kernels::Dropout& dropout, double probability, int64_t heads) {
  keep(context, dropout, probability);
  context->saved_data["heads"] = heads;
}

struct SelfAttention : torch::autograd::Function<SelfAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, const at::Tensor& starts,
                            const at::Tensor& streams, int64_t heads, double probability, bool keeps) {
    const kernels::Dropout dropout = draw_dropout(probability);
    const at::Tensor log_sums = empty_log_sums(qkv, heads, keeps);
    const Side side = {qkv, starts, streams};
    const at::Tensor out = capture::forward(asking_of(side, side, heads, dropout), log_sums);
    if (keeps) {
      context->save_for_backward({qkv, starts, streams, log_sums});
      keep_attention(context, dropout, probability, heads);
    }
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const Side side = {saved[0], saved[1], saved[2]};
    const at::Tensor gradient = at::empty_like(side.qkv);
    capture::backward(asking_of(side, side, context->saved_data["heads"].toInt(), kept_dropout(context)),
                      gradients[0].contiguous(), saved[3], gradient, gradient);
    return {gradient, {}, {}, {}, {}, {}};
  }
};

/// a and b ask each other. The two directions write different columns of the same gradients.
struct CoAttention : torch::autograd::Function<CoAttention> {
  static variable_list forward(AutogradContext* context, const at::Tensor& a_qkv, const at::Tensor& a_starts,
                               const at::Tensor& a_streams, const at::Tensor& b_qkv, const at::Tensor& b_starts,
                               const at::Tensor& b_streams, int64_t heads, double probability, bool keeps) {
    const kernels::Dropout dropout = draw_dropout(probability);
    const Side a = {a_qkv, a_starts, a_streams};
    const Side b = {b_qkv, b_starts, b_streams};
    const at::Tensor a_sums = empty_log_sums(a_qkv, heads, keeps);
    const at::Tensor b_sums = empty_log_sums(b_qkv, heads, keeps);
    const at::Tensor a_out = capture::forward(asking_of(a, b, heads, dropout), a_sums);
    const at::Tensor b_out = capture::forward(asking_of(b, a, heads, other(dropout)), b_sums);
    if (keeps) {
      context->save_for_backward({a_qkv, a_starts, a_streams, b_qkv, b_starts, b_streams, a_sums, b_sums});
      keep_attention(context, dropout, probability, heads);
    }
    return {a_out, b_out};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto heads = context->saved_data["heads"].toInt();
    const kernels::Dropout dropout = kept_dropout(context);
    const Side a = {saved[0], saved[1], saved[2]};
    const Side b = {saved[3], saved[4], saved[5]};
    const at::Tensor a_gradient = at::empty_like(a.qkv);
    const at::Tensor b_gradient = at::empty_like(b.qkv);
    capture::backward(asking_of(a, b, heads, dropout), gradients[0].contiguous(), saved[6], a_gradient, b_gradient);
    capture::backward(asking_of(b, a, heads, other(dropout)), gradients[1].contiguous(), saved[7], b_gradient,
                      a_gradient);
    return {a_gradient, {}, {}, b_gradient, {}, {}, {}, {}, {}};
  }

  /// The second direction draws other weights to drop.
  static kernels::Dropout other(kernels::Dropout dropout) {
    dropout.key = ~dropout.key;
    return dropout;
  }
};

/// As many queries for each sequence ask all its keys and values.
Asking asking_of_some(const at::Tensor& queries, const Columns& keys, const Columns& values, const at::Tensor& starts,
                      const at::Tensor& streams, int64_t heads, const kernels::Dropout& dropout) {
  const int64_t pairs = starts.size(0) - 1;
  const auto each = static_cast<int32_t>(queries.size(0) / pairs);
  return {.q = {queries, 0},
          .k = keys,
          .v = values,
          .q_starts = at::arange(pairs + 1, at::kInt) * each,
          .kv_starts = starts,
          .streams = streams,
          .heads = heads,
          .width = queries.size(1) / heads,
          .dropout = dropout};
}

/// Keys and values stand side by side.
struct AttentionOfSome : torch::autograd::Function<AttentionOfSome> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries, const at::Tensor& keys_values,
                            const at::Tensor& starts, const at::Tensor& streams, int64_t heads, double probability,
                            bool keeps) {
    const kernels::Dropout dropout = draw_dropout(probability);
    const at::Tensor log_sums = empty_log_sums(queries, heads, keeps);
    const at::Tensor out = capture::forward(asking(queries, keys_values, starts, streams, heads, dropout), log_sums);
    if (keeps) {
      context->save_for_backward({queries, keys_values, starts, streams, log_sums});
      keep_attention(context, dropout, probability, heads);
    }
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor q_gradient = at::empty(saved[0].sizes(), saved[0].options());
    const at::Tensor kv_gradient = at::empty(saved[1].sizes(), saved[1].options());
    capture::backward(
        asking(saved[0], saved[1], saved[2], saved[3], context->saved_data["heads"].toInt(), kept_dropout(context)),
        gradients[0].contiguous(), saved[4], q_gradient, kv_gradient);
    return {q_gradient, kv_gradient, {}, {}, {}, {}, {}};
  }

  static Asking asking(const at::Tensor& queries, const at::Tensor& keys_values, const at::Tensor& starts,
                       const at::Tensor& streams, int64_t heads, const kernels::Dropout& dropout) {
    return asking_of_some(queries, {keys_values, 0}, {keys_values, queries.size(1)}, starts, streams, heads, dropout);
  }
};

}  // namespace

at::Tensor packed_self_attention(const at::Tensor& qkv, const Sequences& sequences, int64_t heads, double dropout) {
  return SelfAttention::apply(qkv, sequences.starts, sequences.streams, heads, dropout, at::GradMode::is_enabled());
}

std::pair<at::Tensor, at::Tensor> packed_co_attention(const at::Tensor& text_qkv, const Sequences& text,
                                                      const at::Tensor& region_qkv, const Sequences& regions,
                                                      int64_t heads, double dropout) {
  const auto contexts = CoAttention::apply(text_qkv, text.starts, text.streams, region_qkv, regions.starts,
                                           regions.streams, heads, dropout, at::GradMode::is_enabled());
  return {contexts[0], contexts[1]};
}

at::Tensor packed_attention_of_some(const at::Tensor& queries, const at::Tensor& keys_values,
                                    const Sequences& sequences, int64_t heads, double dropout) {
  return AttentionOfSome::apply(queries, keys_values, sequences.starts, sequences.streams, heads, dropout,
                                at::GradMode::is_enabled());
}

at::Tensor packed_attention_to_states(const at::Tensor& queries, const at::Tensor& states, const Sequences& sequences) {
  const Columns both{states, 0};
  return forward(asking_of_some(queries, both, both, sequences.starts, sequences.streams, 1, {}), {});
}

}  // namespace capture
