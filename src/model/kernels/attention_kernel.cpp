#include "attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "lanes.h"
#include "product.h"

namespace capture::kernels {

namespace {

/// Rows as float32, `stride` apart, zeros behind their end. The same rows' next columns are fetched ahead: those of the
/// next head, who comes next, and too far apart for the processor to guess.
template <class T>
CAPTURE_LANES void unpack(Rows<const T> from, int64_t rows, int64_t width, float factor, float* to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < width; d += kLanes) {
      __builtin_prefetch(from.data + i * from.stride + d + width);
      store(to + i * stride + d, factor * load_first(from.data + i * from.stride + d, width - d));
    }
  }
}

template <class T>
CAPTURE_LANES void pack(const float* from, int64_t stride, int64_t rows, int64_t width, float factor, Rows<T> to) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < width; d += kLanes) {
      store_first(to.data + i * to.stride + d, factor * load(from + i * stride + d), width - d);
    }
  }
}

/// 4 × 4 numbers, in registers.
CAPTURE_LANES void transpose_block(const float* from, int64_t stride, float* to, int64_t columns) {
  using Places [[gnu::vector_size(16)]] = int32_t;
  Four a, b, c, d;
  std::memcpy(&a, from, sizeof a);
  std::memcpy(&b, from + stride, sizeof b);
  std::memcpy(&c, from + 2 * stride, sizeof c);
  std::memcpy(&d, from + 3 * stride, sizeof d);
  const Four ab_low = __builtin_shuffle(a, b, Places{0, 4, 1, 5}),
             ab_high = __builtin_shuffle(a, b, Places{2, 6, 3, 7});
  const Four cd_low = __builtin_shuffle(c, d, Places{0, 4, 1, 5}),
             cd_high = __builtin_shuffle(c, d, Places{2, 6, 3, 7});
  a = __builtin_shuffle(ab_low, cd_low, Places{0, 1, 4, 5});
  b = __builtin_shuffle(ab_low, cd_low, Places{2, 3, 6, 7});
  c = __builtin_shuffle(ab_high, cd_high, Places{0, 1, 4, 5});
  d = __builtin_shuffle(ab_high, cd_high, Places{2, 3, 6, 7});
  std::memcpy(to, &a, sizeof a);
  std::memcpy(to + columns, &b, sizeof b);
  std::memcpy(to + 2 * columns, &c, sizeof c);
  std::memcpy(to + 3 * columns, &d, sizeof d);
}

/// [rows, width] → [width, columns], zeros behind the rows' end. What `from` has behind `width` is padding, up to
/// whole vectors, and so has `to` lines for it.
CAPTURE_LANES void transpose(const float* from, int64_t stride, int64_t rows, int64_t width, float* to,
                             int64_t columns) {
  const int64_t whole = rows / 4 * 4;
  for (int64_t d = 0; d < width; d += 4) {
    for (int64_t i = 0; i < whole; i += 4)
      transpose_block(from + i * stride + d, stride, to + d * columns + i, columns);
  }
  for (int64_t d = 0; d < width; ++d) {
    for (int64_t i = whole; i < rows; ++i) to[d * columns + i] = from[i * stride + d];
    std::fill(to + d * columns + rows, to + (d + 1) * columns, 0.0F);
  }
}

/// Cuts working memory into arrays.
class Arena {
 public:
  Arena(Scratch& scratch, int64_t numbers) {
    if (static_cast<int64_t>(scratch.size()) < numbers) scratch.resize(static_cast<size_t>(numbers));
    next_ = scratch.data();
  }
  float* take(int64_t numbers) { return std::exchange(next_, next_ + numbers); }

 private:
  float* next_;
};

/// Sizes with their padding: a row of q, k or v takes `width` numbers here, a row of scores `keys`.
struct Padded {
  explicit Padded(const Head& head)
      : width(rounded_up(head.width)), keys(rounded_up(head.keys)), matrix(rounded_up(head.queries * keys, kFactors)) {}
  int64_t width;
  int64_t keys;
  int64_t matrix;  ///< [queries, keys], in whole draws of dropout
};

/// A row of scores → weights that sum to 1, zero behind the last key. `log_sum`, unless null: log Σ exp(score).
CAPTURE_LANES void softmax(float* row, int64_t keys, int64_t columns, float* log_sum) {
  std::fill(row + keys, row + columns, row[0]);
  Lanes top = load(row);
  for (int64_t j = kLanes; j < columns; j += kLanes) top = max(top, load(row + j));
  const float highest = largest(top);
  Lanes total = {};
  for (int64_t j = 0; j < columns; j += kLanes) {
    Lanes weights = exponential(load(row + j) - highest);
    if (keys - j < kLanes) weights = first(weights, keys - j);
    total += weights;
    store(row + j, weights);
  }
  const float whole = sum(total);
  for (int64_t j = 0; j < columns; j += kLanes) store(row + j, load(row + j) * (1.0F / whole));
  if (log_sum != nullptr) *log_sum = highest + std::log(whole);
}

CAPTURE_LANES void multiply(float* to, const float* by, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) store(to + i, load(to + i) * load(by + i));
}

template <class T>
CAPTURE_LANES void attend_as(const Head& head, Rows<const T> q, Rows<const T> k, Rows<const T> v, Rows<T> out,
                             float* log_sums, Scratch& scratch) {
  const Padded padded(head);
  Arena arena(scratch,
              (2 * head.queries + 3 * head.keys) * padded.width + padded.width * padded.keys + 2 * padded.matrix);
  float* const queries = arena.take(head.queries * padded.width);
  float* const keys = arena.take(head.keys * padded.width);
  float* const values = arena.take(head.keys * padded.width);
  float* const keys_transposed = arena.take(padded.width * padded.keys);
  float* const weights = arena.take(padded.matrix);
  float* const context = arena.take(head.queries * padded.width);
  unpack(q, head.queries, head.width, head.scale, queries, padded.width);
  unpack(k, head.keys, head.width, 1.0F, keys, padded.width);
  unpack(v, head.keys, head.width, 1.0F, values, padded.width);
  transpose(keys, padded.width, head.keys, head.width, keys_transposed, padded.keys);

  product(queries, padded.width, keys_transposed, padded.keys, weights, padded.keys, head.queries, padded.keys,
          head.width);
  for (int64_t i = 0; i < head.queries; ++i) {
    softmax(weights + i * padded.keys, head.keys, padded.keys, log_sums == nullptr ? nullptr : log_sums + i);
  }
  if (head.dropout.active()) {
    float* const factors = arena.take(padded.matrix);
    draw_factors(head.dropout, head.stream, padded.matrix / kFactors, factors);
    multiply(weights, factors, head.queries * padded.keys);
  }
  product(weights, padded.keys, values, padded.width, context, padded.width, head.queries, padded.width, head.keys);
  pack(context, padded.width, head.queries, head.width, 1.0F, out);
}

/// One row of the weights' and scores' gradients. weights: scores in, dropped-out weights out; gradients: those of the
/// dropped-out weights in, those of the scores out.
CAPTURE_LANES void scores_backward(float* weights, float* gradients, const float* factors, float log_sum, int64_t keys,
                                   int64_t columns) {
  Lanes total = {};
  for (int64_t j = 0; j < columns; j += kLanes) {
    Lanes weight = exponential(load(weights + j) - log_sum);
    if (keys - j < kLanes) weight = first(weight, keys - j);
    Lanes gradient = load(gradients + j);
    if (factors != nullptr) gradient *= load(factors + j);
    total += weight * gradient;
    store(weights + j, weight);
    store(gradients + j, gradient);
  }
  const float mean = sum(total);
  for (int64_t j = 0; j < columns; j += kLanes) {
    const Lanes weight = load(weights + j);
    store(gradients + j, weight * (load(gradients + j) - mean));
    if (factors != nullptr) store(weights + j, weight * load(factors + j));
  }
}

template <class T>
CAPTURE_LANES void attend_backward_as(const Head& head, Rows<const T> q, Rows<const T> k, Rows<const T> v,
                                      Rows<const T> out_gradient, const float* log_sums, Rows<T> q_gradient,
                                      Rows<T> k_gradient, Rows<T> v_gradient, Scratch& scratch) {
  const Padded padded(head);
  const int64_t longest = std::max(head.queries, head.keys);
  Arena arena(scratch, (2 * head.queries + 2 * head.keys + longest) * padded.width + padded.width * padded.keys +
                           3 * padded.matrix);
  float* const queries = arena.take(head.queries * padded.width);
  float* const asked = arena.take(head.queries * padded.width);
  float* const keys = arena.take(head.keys * padded.width);
  float* const values = arena.take(head.keys * padded.width);
  float* const result = arena.take(longest * padded.width);
  float* const transposed = arena.take(padded.width * padded.keys);
  float* const weights = arena.take(padded.matrix);
  float* const gradients = arena.take(padded.matrix);
  unpack(q, head.queries, head.width, head.scale, queries, padded.width);
  unpack(out_gradient, head.queries, head.width, 1.0F, asked, padded.width);
  unpack(k, head.keys, head.width, 1.0F, keys, padded.width);
  unpack(v, head.keys, head.width, 1.0F, values, padded.width);

  transpose(keys, padded.width, head.keys, head.width, transposed, padded.keys);
  product(queries, padded.width, transposed, padded.keys, weights, padded.keys, head.queries, padded.keys, head.width);
  transpose(values, padded.width, head.keys, head.width, transposed, padded.keys);
  product(asked, padded.width, transposed, padded.keys, gradients, padded.keys, head.queries, padded.keys, head.width);
  float* factors = nullptr;
  if (head.dropout.active()) {
    factors = arena.take(padded.matrix);
    draw_factors(head.dropout, head.stream, padded.matrix / kFactors, factors);
  }
  for (int64_t i = 0; i < head.queries; ++i) {
    const int64_t row = i * padded.keys;
    scores_backward(weights + row, gradients + row, factors == nullptr ? nullptr : factors + row, log_sums[i],
                    head.keys, padded.keys);
  }

  product(gradients, padded.keys, keys, padded.width, result, padded.width, head.queries, padded.width, head.keys);
  pack(result, padded.width, head.queries, head.width, head.scale, q_gradient);
  product_transposed(gradients, padded.keys, queries, padded.width, result, padded.width, head.keys, padded.width,
                     head.queries);
  pack(result, padded.width, head.keys, head.width, 1.0F, k_gradient);
  product_transposed(weights, padded.keys, asked, padded.width, result, padded.width, head.keys, padded.width,
                     head.queries);
  pack(result, padded.width, head.keys, head.width, 1.0F, v_gradient);
}

}  // namespace

CAPTURE_KERNEL void attend(const Head& head, Rows<const float> q, Rows<const float> k, Rows<const float> v,
                           Rows<float> out, float* log_sums, Scratch& scratch) {
  attend_as(head, q, k, v, out, log_sums, scratch);
}

CAPTURE_KERNEL void attend(const Head& head, Rows<const BFloat16Bits> q, Rows<const BFloat16Bits> k,
                           Rows<const BFloat16Bits> v, Rows<BFloat16Bits> out, float* log_sums, Scratch& scratch) {
  attend_as(head, q, k, v, out, log_sums, scratch);
}

CAPTURE_KERNEL void attend_backward(const Head& head, Rows<const float> q, Rows<const float> k, Rows<const float> v,
                                    Rows<const float> out_gradient, const float* log_sums, Rows<float> q_gradient,
                                    Rows<float> k_gradient, Rows<float> v_gradient, Scratch& scratch) {
  attend_backward_as(head, q, k, v, out_gradient, log_sums, q_gradient, k_gradient, v_gradient, scratch);
}

CAPTURE_KERNEL void attend_backward(const Head& head, Rows<const BFloat16Bits> q, Rows<const BFloat16Bits> k,
                                    Rows<const BFloat16Bits> v, Rows<const BFloat16Bits> out_gradient,
                                    const float* log_sums, Rows<BFloat16Bits> q_gradient, Rows<BFloat16Bits> k_gradient,
                                    Rows<BFloat16Bits> v_gradient, Scratch& scratch) {
  attend_backward_as(head, q, k, v, out_gradient, log_sums, q_gradient, k_gradient, v_gradient, scratch);
}

}  // namespace capture::kernels
