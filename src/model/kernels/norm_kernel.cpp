#include "norm_kernel.h"

#include <cmath>
#include <vector>

#include "lanes.h"

namespace capture::kernels {

namespace {

/// The factors of a row, where anything is dropped.
class Factors {
 public:
  explicit Factors(const AddNorm& op) : op_(op), blocks_(rounded_up(op.width, kFactors) / kFactors) {
    if (op.dropout.active()) factors_.resize(static_cast<size_t>(blocks_ * kFactors));
  }
  /// Null: keep everything.
  const float* of_row(int64_t row) {
    if (!op_.dropout.active()) return nullptr;
    draw_factors(op_.dropout, static_cast<uint64_t>(op_.streams[row]), blocks_, factors_.data());
    return factors_.data();
  }

 private:
  const AddNorm& op_;
  int64_t blocks_;
  std::vector<float> factors_;
};

template <class T>
CAPTURE_LANES void add_norm_row(const AddNorm& op, const float* factors, const float* x, const T* added,
                                const float* weight, const float* bias, float* y, float* sum_row, float& mean,
                                float& inverse_deviation) {
  const auto width = static_cast<float>(op.width);
  Lanes total = {};
  for (int64_t i = 0; i < op.width; i += kLanes) {
    Lanes plus = load_first(added + i, op.width - i);
    if (factors != nullptr) plus *= load(factors + i);
    const Lanes both = load_first(x + i, op.width - i) + plus;
    total += both;
    store_first(sum_row + i, both, op.width - i);
  }
  mean = sum(total) / width;
  Lanes squares = {};
  for (int64_t i = 0; i < op.width; i += kLanes) {
    Lanes off = load_first(sum_row + i, op.width - i) - mean;
    if (op.width - i < kLanes) off = first(off, op.width - i);
    squares += off * off;
  }
  inverse_deviation = 1.0F / std::sqrt(sum(squares) / width + op.epsilon);
  for (int64_t i = 0; i < op.width; i += kLanes) {
    const int64_t rest = op.width - i;
    const Lanes normal = (load_first(sum_row + i, rest) - mean) * inverse_deviation;
    store_first(y + i, normal * load_first(weight + i, rest) + load_first(bias + i, rest), rest);
  }
}

template <class T>
CAPTURE_LANES void add_norm_as(const AddNorm& op, int64_t first, int64_t last, const float* x, const T* added,
                               const float* weight, const float* bias, float* y, float* sums, float* means,
                               float* inverse_deviations) {
  Factors factors(op);
  for (int64_t row = first; row < last; ++row) {
    const int64_t at = row * op.width;
    float mean = 0;
    float inverse_deviation = 0;
    // Without a place to keep it, the sum stands where the result will.
    add_norm_row(op, factors.of_row(row), x + at, added + at, weight, bias, y + at,
                 sums == nullptr ? y + at : sums + at, mean, inverse_deviation);
    if (sums == nullptr) continue;
    means[row] = mean;
    inverse_deviations[row] = inverse_deviation;
  }
}

template <class T>
CAPTURE_LANES void add_norm_backward_as(const AddNorm& op, int64_t first, int64_t last, const float* y_gradient,
                                        const float* sums, const float* means, const float* inverse_deviations,
                                        const float* weight, float* x_gradient, T* added_gradient,
                                        float* weight_gradient, float* bias_gradient) {
  Factors factors(op);
  const auto width = static_cast<float>(op.width);
  for (int64_t row = first; row < last; ++row) {
    const int64_t at = row * op.width;
    const float mean = means[row];
    const float inverse = inverse_deviations[row];
    Lanes gradients = {};
    Lanes projections = {};
    for (int64_t i = 0; i < op.width; i += kLanes) {
      const int64_t rest = op.width - i;
      const Lanes gradient = load_first(y_gradient + at + i, rest);
      // Behind the end the gradient is zero, and with it every product.
      const Lanes normal = (load_first(sums + at + i, rest) - mean) * inverse;
      const Lanes weighted = gradient * load_first(weight + i, rest);
      gradients += weighted;
      projections += weighted * normal;
      store_first(weight_gradient + i, load_first(weight_gradient + i, rest) + gradient * normal, rest);
      store_first(bias_gradient + i, load_first(bias_gradient + i, rest) + gradient, rest);
    }
    const float gradient_mean = sum(gradients) / width;
    const float projection_mean = sum(projections) / width;
    const float* const kept = factors.of_row(row);
    for (int64_t i = 0; i < op.width; i += kLanes) {
      const int64_t rest = op.width - i;
      const Lanes normal = (load_first(sums + at + i, rest) - mean) * inverse;
      const Lanes weighted = load_first(y_gradient + at + i, rest) * load_first(weight + i, rest);
      const Lanes gradient = (weighted - gradient_mean - normal * projection_mean) * inverse;
      store_first(x_gradient + at + i, gradient, rest);
      store_first(added_gradient + at + i, kept == nullptr ? gradient : gradient * load(kept + i), rest);
    }
  }
}

}  // namespace

CAPTURE_KERNEL void add_norm(const AddNorm& op, int64_t first, int64_t last, const float* x, const float* added,
                             const float* weight, const float* bias, float* y, float* sums, float* means,
                             float* inverse_deviations) {
  add_norm_as(op, first, last, x, added, weight, bias, y, sums, means, inverse_deviations);
}

CAPTURE_KERNEL void add_norm(const AddNorm& op, int64_t first, int64_t last, const float* x, const BFloat16Bits* added,
                             const float* weight, const float* bias, float* y, float* sums, float* means,
                             float* inverse_deviations) {
  add_norm_as(op, first, last, x, added, weight, bias, y, sums, means, inverse_deviations);
}

CAPTURE_KERNEL void add_norm_backward(const AddNorm& op, int64_t first, int64_t last, const float* y_gradient,
                                      const float* sums, const float* means, const float* inverse_deviations,
                                      const float* weight, float* x_gradient, float* added_gradient,
                                      float* weight_gradient, float* bias_gradient) {
  add_norm_backward_as(op, first, last, y_gradient, sums, means, inverse_deviations, weight, x_gradient, added_gradient,
                       weight_gradient, bias_gradient);
}

CAPTURE_KERNEL void add_norm_backward(const AddNorm& op, int64_t first, int64_t last, const float* y_gradient,
                                      const float* sums, const float* means, const float* inverse_deviations,
                                      const float* weight, float* x_gradient, BFloat16Bits* added_gradient,
                                      float* weight_gradient, float* bias_gradient) {
  add_norm_backward_as(op, first, last, y_gradient, sums, means, inverse_deviations, weight, x_gradient, added_gradient,
                       weight_gradient, bias_gradient);
}

}  // namespace capture::kernels
