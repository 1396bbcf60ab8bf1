// Products by rounded copies of the weights, as on a GPU, against autocast's. On the CPU, where autocast does not round
// gradients of weights on the way either, so that the two differ by the order of sums alone.
#include "../../src/model/half_product.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../../src/model/linear_product.h"
#include "../../src/model/plain_form.h"
#include "capture/tensor/device.h"
#include "model/small_model.h"

namespace capture {
namespace {

struct Product {
  at::Tensor x, weight, bias;

  std::vector<at::Tensor> outcome(at::ScalarType x_type, double scale, double bias_scale) const {
    const at::Tensor input = x.detach().to(x_type).requires_grad_();
    at::Tensor y;
    {
      const AutocastScope autocast(at::kCPU, Precision::bfloat16);
      y = linear_product(input, weight, bias, scale, bias_scale);
    }
    const at::Tensor direction = at::sin(at::arange(y.numel(), at::kFloat)).view(y.sizes()).to(y.scalar_type());
    y.backward(direction);
    std::vector<at::Tensor> all = {y, input.grad()};
    for (const at::Tensor& each : {weight, bias}) {
      all.push_back(each.grad().clone());
      each.mutable_grad().reset();
    }
    return all;
  }
};

TEST(HalfProduct, IsAutocastsWithGradientsInFloat32) {
  const Product product = {at::randn({9, 24}), at::randn({40, 24}).requires_grad_(), at::randn({40}).requires_grad_()};
  const PlainForm plain;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const auto& [scale, bias_scale] : {std::pair(1.0, 1.0), std::pair(1.7, 1.7), std::pair(0.6, 1.0)}) {
      const auto expected = product.outcome(type, scale, bias_scale);
      const HalfWeights halves(HalfWeights::copies_of({{product.weight, scale}, {product.bias, bias_scale}}));
      const auto actual = product.outcome(type, scale, bias_scale);
      for (size_t i = 0; i < expected.size(); ++i) {
        SCOPED_TRACE(std::to_string(i) + " at scale " + std::to_string(scale));
        EXPECT_EQ(actual[i].scalar_type(), expected[i].scalar_type());
        const double size = expected[i].abs().max().item<double>();
        expect_near(actual[i].to(at::kFloat), expected[i].to(at::kFloat), 0.01 * size, "");
      }
      // Not rounded to bfloat16 on the way.
      EXPECT_FALSE(actual[2].equal(actual[2].to(at::kBFloat16).to(at::kFloat)));
      const at::Tensor direction = at::sin(at::arange(360, at::kFloat)).view({9, 40}).to(at::kBFloat16).to(at::kFloat);
      const at::Tensor exact = direction.t().mm(product.x.detach().to(at::kBFloat16).to(at::kFloat)) * scale;
      expect_near(actual[2], exact, 1e-5 * exact.abs().max().item<double>(), "weight");
      expect_near(actual[3], direction.sum(0) * bias_scale, 1e-4, "bias");
    }
  }
}

TEST(HalfProduct, IsThatOfTheWeightsInScopeAlone) {
  const at::Tensor x = at::randn({3, 4}), weight = at::randn({5, 4}), bias = at::randn({5});
  EXPECT_FALSE(half_product(x, weight, bias, 1, 1).defined());
  {
    const HalfWeights halves(HalfWeights::copies_of({{weight}, {bias}}));
    EXPECT_TRUE(half_product(x, weight, bias, 1, 1).defined());
    EXPECT_EQ(half_product(x.view({3, 1, 4}), weight, bias, 1, 1).sizes(), at::IntArrayRef({3, 1, 5}));
    EXPECT_FALSE(half_product(x, weight.clone(), bias, 1, 1).defined());
    EXPECT_FALSE(half_product(x, weight, bias, 2, 1).defined());
    const HalfWeights none(nullptr);
    EXPECT_FALSE(half_product(x, weight, bias, 1, 1).defined());
  }
  EXPECT_FALSE(half_product(x, weight, bias, 1, 1).defined());
}

/// Scores and gradients of every parameter, in bfloat16 by LibTorch's operations.
std::vector<at::Tensor> trained(HybridStreamModel model, bool by_copies) {
  const PlainForm plain;
  const PairBatch batch = small_batch({5, 9, 2}, {4, 1, 7});
  const at::Tensor tokens = at::tensor({1, 3, 8}, at::kLong), regions = at::tensor({2, 7}, at::kLong);
  model->zero_grad();
  std::vector<at::Tensor> all;
  {
    const AutocastScope autocast(at::kCPU, Precision::bfloat16);
    const HalfWeights halves(by_copies ? HalfWeights::copies_of(weights_of_products(*model)) : nullptr);
    const PretrainingOutput output = model->pretrain(packed(batch), tokens, regions);
    all = {output.token_scores, output.region_predictions, output.text_projection, output.region_projection};
  }
  at::Tensor sum = at::zeros({});
  for (const auto& each : all) sum = sum + each.to(at::kFloat).square().mean();
  sum.backward();
  for (auto& each : all) each = each.detach().to(at::kFloat);
  for (const auto& parameter : model->parameters()) all.push_back(parameter.grad().clone());
  return all;
}

TEST(HalfProduct, TrainsTheModelAsAutocastDoes) {
  HybridStreamModel model = small_model(small_options(2, 1, 1, 2));
  for (const Recompute which : {Recompute::none, Recompute::all}) {
    model->recompute(which);
    const auto expected = trained(model, /*by_copies=*/false);
    const auto actual = trained(model, /*by_copies=*/true);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(actual[i].scalar_type(), at::kFloat);
      expect_near(actual[i], expected[i], 0.05 * (1e-3 + expected[i].abs().max().item<double>()), std::to_string(i));
    }
  }
}

TEST(HalfProduct, RecomputesByTheSameCopies) {
  HybridStreamModel model = small_model(small_options(2, 1, 1, 2));
  const auto expected = trained(model, /*by_copies=*/true);
  model->recompute(Recompute::all);
  const auto actual = trained(model, /*by_copies=*/true);
  for (size_t i = 0; i < expected.size(); ++i) {
    expect_near(actual[i], expected[i], 1e-5 * (1 + expected[i].abs().max().item<double>()), std::to_string(i));
  }
}

}  // namespace
}  // namespace capture
