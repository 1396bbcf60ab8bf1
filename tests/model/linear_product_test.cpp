#include "../../src/model/linear_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "../../src/model/kernels/panel_product.h"
#include "capture/tensor/device.h"
#include "model/small_model.h"

namespace capture {
namespace {

constexpr double kScale = 1.25, kBiasScale = 0.75;

/// A product's operands, its result and their gradients.
struct Worked {
  at::Tensor y, x_gradient, weight_gradient, bias_gradient;
};

/// With the values as they are: what is rounded on the way is up to the caller.
Worked worked_in_double(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        const at::Tensor& direction) {
  const at::Tensor d = direction.to(at::kDouble), a = x.to(at::kDouble), w = weight.to(at::kDouble);
  return {kScale * a.mm(w.t()) + kBiasScale * bias.to(at::kDouble), kScale * d.mm(w), kScale * d.t().mm(a),
          kBiasScale * d.sum(0)};
}

Worked worked(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& direction) {
  const auto leaf = [](const at::Tensor& tensor) { return tensor.detach().clone().requires_grad_(); };
  const at::Tensor a = leaf(x), w = leaf(weight), b = leaf(bias);
  const at::Tensor y = linear_product(a, w, b, kScale, kBiasScale);
  y.backward(direction.to(y.scalar_type()));
  return {y.detach(), a.grad(), w.grad(), b.grad()};
}

void expect_equal_up_to(double tolerance, const Worked& actual, const Worked& expected) {
  const auto compare = [&](const at::Tensor& a, const at::Tensor& e, const char* what) {
    if (e.numel() == 0) return;
    expect_near(a.to(at::kDouble), e, tolerance * (1 + e.abs().max().item<double>()), what);
  };
  compare(actual.y, expected.y, "y");
  compare(actual.x_gradient, expected.x_gradient, "gradient of x");
  compare(actual.weight_gradient, expected.weight_gradient, "gradient of the weight");
  compare(actual.bias_gradient, expected.bias_gradient, "gradient of the bias");
}

/// Rows, inputs and outputs around the sizes that the kernels take at once.
const std::vector<std::array<int64_t, 3>> kSizes = {{1, 1, 1},    {13, 5, 31},  {14, 16, 32}, {15, 17, 33},
                                                    {29, 32, 64}, {60, 47, 70}, {0, 8, 40},   {100, 96, 16}};

TEST(LinearProduct, IsTheProductInFloat32) {
  for (const auto& [rows, inputs, outputs] : kSizes) {
    SCOPED_TRACE(std::to_string(rows) + " × " + std::to_string(inputs) + " × " + std::to_string(outputs));
    const at::Tensor x = at::randn({rows, inputs}), weight = at::randn({outputs, inputs}), bias = at::randn({outputs});
    const at::Tensor direction = at::randn({rows, outputs});
    expect_equal_up_to(1e-6, worked(x, weight, bias, direction), worked_in_double(x, weight, bias, direction));
  }
}

TEST(LinearProduct, RoundsToBfloat16UnderAutocastAndAddsInFloat32) {
  const auto rounded = [](const at::Tensor& tensor) { return tensor.to(at::kBFloat16); };
  for (const auto& [rows, inputs, outputs] : kSizes) {
    SCOPED_TRACE(std::to_string(rows) + " × " + std::to_string(inputs) + " × " + std::to_string(outputs));
    const at::Tensor x = at::randn({rows, inputs}), weight = at::randn({outputs, inputs}), bias = at::randn({outputs});
    const at::Tensor direction = rounded(at::randn({rows, outputs}));
    const AutocastScope autocast(at::kCPU, Precision::bfloat16);
    const Worked expected = worked_in_double(rounded(x), rounded(weight), bias, direction);
    for (const at::Tensor& input : {x, rounded(x)}) {
      const Worked actual = worked(input, weight, bias, direction);
      EXPECT_EQ(actual.y.scalar_type(), at::kBFloat16);
      EXPECT_EQ(actual.x_gradient.scalar_type(), input.scalar_type());
      EXPECT_EQ(actual.weight_gradient.scalar_type(), at::kFloat);
      expect_equal_up_to(0.01, actual, expected);
    }
  }
}

TEST(LinearProduct, IsTheSameWhateverTheThreads) {
  const at::Tensor x = at::randn({40, 50}), weight = at::randn({45, 50}), bias = at::randn({45});
  const at::Tensor direction = at::randn({40, 45});
  const Worked several = worked(x, weight, bias, direction);
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 3 : 1);
  const Worked other = worked(x, weight, bias, direction);
  at::set_num_threads(threads);
  EXPECT_TRUE(other.y.equal(several.y));
  EXPECT_TRUE(other.x_gradient.equal(several.x_gradient));
  EXPECT_TRUE(other.weight_gradient.equal(several.weight_gradient));
}

TEST(LinearProduct, TakesPartsOfAWeightAndInputsOfAnyShape) {
  const at::Tensor all = at::randn({60, 20}), bias = at::randn({60}), x = at::randn({3, 20, 7}).transpose(1, 2);
  const at::Tensor weight = all.narrow(0, 20, 25), part = bias.narrow(0, 20, 25);
  const at::Tensor y = linear_product(x, weight, part);
  EXPECT_EQ(y.sizes(), at::IntArrayRef({3, 7, 25}));
  expect_near(y, at::linear(x, weight, part), 1e-5, "y");
  expect_near(plain_linear_product(x[0], weight, part, 2.0, 3.0), linear_product(x[0], weight, part, 2.0, 3.0), 1e-4,
              "the plain way");
}

TEST(LinearProduct, ComputesNoGradientThatNobodyAsksFor) {
  const at::Tensor x = at::randn({4, 6}), bias = at::randn({5}).requires_grad_();
  const at::Tensor weight = at::randn({5, 6});
  linear_product(x, weight, bias).sum().backward();
  EXPECT_FALSE(x.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
  EXPECT_TRUE(bias.grad().equal(at::full({5}, 4.0F)));
}

}  // namespace
}  // namespace capture
