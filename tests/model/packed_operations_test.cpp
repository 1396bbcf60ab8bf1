// The operations of packed batches: attention, dropout, sum and LayerNorm, and the order of rows.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../../src/model/kernels/dropout.h"
#include "../../src/model/packed_add_norm.h"
#include "../../src/model/packed_dropout.h"
#include "../../src/model/packed_rows.h"
#include "capture/model/attention.h"
#include "capture/tensor/random.h"
#include "model/small_model.h"

namespace capture {
namespace {

TEST(JointOrder, IsTheSameByOperations) {
  const at::Tensor text = at::tensor({0, 5, 14, 15, 17}, at::kInt);
  const at::Tensor regions = at::tensor({0, 4, 5, 8, 15}, at::kInt);
  const JointOrder expected = joint_order(text, regions, {});
  const JointOrder actual = joint_order_by_operations(text, 17, regions, 15);
  EXPECT_TRUE(actual.token_places.equal(expected.token_places)) << actual.token_places;
  EXPECT_TRUE(actual.region_places.equal(expected.region_places)) << actual.region_places;
  EXPECT_TRUE(actual.sources.equal(expected.sources)) << actual.sources;
  EXPECT_TRUE(actual.targets.equal(expected.targets)) << actual.targets;
}

Sequences one_sequence(int64_t rows) {
  return {.count = 1,
          .longest = rows,
          .starts = at::tensor({0, static_cast<int32_t>(rows)}, at::kInt),
          .streams = at::arange(rows)};
}

/// Packed attention of one pair whose values are unit vectors: its contexts are its weights, dropout included.
struct OnePair {
  explicit OnePair(int64_t queries, int64_t keys) {
    text = one_sequence(queries);
    regions = one_sequence(keys);
  }
  Sequences text, regions;
};

TEST(PackedAttention, DropoutGoesBackTheWayItCame) {
  const int64_t queries = 21, keys = 17, width = 17;
  const OnePair pair(queries, keys);
  const at::Tensor text = at::randn({queries, 3 * width});
  const at::Tensor regions = at::randn({keys, 3 * width});
  const auto values_of = [&](const at::Tensor& values) {
    return at::cat({regions.narrow(1, 0, 2 * width), values}, 1);
  };
  const auto context = [&](const at::Tensor& from, const at::Tensor& to) {
    at::manual_seed(5);
    return co_attention(from, pair.text, to, pair.regions, 1, 0.4).first;
  };
  // With unit vectors for values the contexts are the weights that dropout left.
  const at::Tensor weights = context(text, values_of(at::eye(keys)));
  const at::Tensor kept = weights.ne(0).to(at::kFloat);
  EXPECT_NEAR(kept.mean().item<double>(), 0.6, 0.08);

  const at::Tensor q = text.narrow(1, 0, width).clone().requires_grad_();
  const at::Tensor k = regions.narrow(1, width, width).clone().requires_grad_();
  const at::Tensor v = regions.narrow(1, 2 * width, width).clone().requires_grad_();
  const at::Tensor plain_weights = at::softmax(q.mm(k.t()) / std::sqrt(double(width)), -1);
  const at::Tensor expected = (plain_weights * kept * (65536.0 / (65536 - 26214))).mm(v);
  const at::Tensor asks = text.clone().requires_grad_();
  const at::Tensor answers = regions.clone().requires_grad_();
  const at::Tensor actual = context(asks, answers);
  expect_near(actual, expected, 1e-5, "contexts");
  const at::Tensor direction = at::randn_like(actual);
  expected.backward(direction);
  actual.backward(direction);
  expect_near(asks.grad().narrow(1, 0, width), q.grad(), 2e-5, "queries");
  expect_near(answers.grad().narrow(1, width, width), k.grad(), 2e-5, "keys");
  expect_near(answers.grad().narrow(1, 2 * width, width), v.grad(), 2e-5, "values");
}

TEST(PackedAttention, HidesNoNan) {
  const int64_t queries = 21, keys = 17, width = 17;
  const OnePair pair(queries, keys);
  const at::Tensor text = at::randn({queries, 3 * width});
  const at::Tensor regions = at::randn({keys, 3 * width});
  const auto bad_rows = [&](const at::Tensor& asking, const at::Tensor& answering) {
    const auto contexts = co_attention(asking, pair.text, answering, pair.regions, 1, 0.0).first;
    return contexts.isnan().all(1).sum().item<int64_t>();
  };
  EXPECT_EQ(bad_rows(text, regions), 0);
  for (const int64_t row : {0, 5, 20}) {
    at::Tensor spoilt = text.clone();
    spoilt[row][3] = std::nan("");
    EXPECT_EQ(bad_rows(spoilt, regions), 1) << "query " << row;
  }
  for (const int64_t row : {0, 5, 16}) {
    at::Tensor spoilt = regions.clone();
    spoilt[row][width + 3] = std::nan("");
    EXPECT_EQ(bad_rows(text, spoilt), queries) << "key " << row;
  }
}

TEST(PackedAddNorm, DropoutGoesBackTheWayItCame) {
  const int64_t rows = 37, width = 40;
  const at::Tensor x = at::randn({rows, width}).requires_grad_();
  const at::Tensor added = at::randn({rows, width}).requires_grad_();
  const at::Tensor weight = at::randn({width}).requires_grad_();
  const at::Tensor bias = at::randn({width}).requires_grad_();
  const at::Tensor direction = at::randn({rows, width});
  for (const double probability : {0.0, 0.25}) {
    const at::Tensor actual = packed_add_norm(x, added, weight, bias, one_sequence(rows), probability);
    actual.backward(direction);
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& tensor : {x, added, weight, bias}) {
      gradients.push_back(tensor.grad().clone());
      tensor.mutable_grad().reset();
    }
    const at::Tensor kept = gradients[1].ne(0).to(at::kFloat);  // what was dropped has no gradient
    EXPECT_NEAR(kept.mean().item<double>(), 1 - probability, 0.05);
    const at::Tensor expected =
        at::layer_norm(x + added * kept / (1 - probability), {width}, weight, bias, kLayerNormEpsilon);
    expect_near(actual, expected, 2e-5, "forward");
    expected.backward(direction);
    size_t i = 0;
    for (const at::Tensor& tensor : {x, added, weight, bias}) {
      expect_near(gradients[i], tensor.grad(), 1e-4, "gradient " + std::to_string(i));
      tensor.mutable_grad().reset();
      ++i;
    }
  }
}

TEST(PackedDropout, GoesBackTheWayItCame) {
  const int64_t rows = 137, width = 40;
  const Sequences sequences = one_sequence(rows);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::rand({rows, width}).add_(1).to(type).requires_grad_();
    const at::Tensor y = dropout_rows(x, sequences, 0.25, /*training=*/true);
    const at::Tensor factors = y.detach() / x.detach();
    EXPECT_NEAR(factors.ne(0).to(at::kFloat).mean().item<double>(), 0.75, 0.03);
    EXPECT_NEAR(factors.max().item<double>(), 1 / 0.75, 0.02);
    y.backward(at::ones_like(y));
    EXPECT_TRUE(x.grad().ne(0).equal(factors.ne(0)));
    EXPECT_NEAR(x.grad().max().item<double>(), 1 / 0.75, 0.01);
    EXPECT_TRUE(dropout_rows(x, sequences, 0.25, /*training=*/false).equal(x));
  }
}

TEST(Dropout, DrawsPhilox) {
  const kernels::Dropout half = kernels::dropout(0.5, 0x123456789abcdef0);
  std::vector<float> factors(2 * kernels::kFactors);
  kernels::draw_factors(half, 77, 2, factors.data());
  for (size_t i = 0; i < factors.size(); ++i) {
    const auto block = philox(half.key, i / kernels::kFactors * kernels::kLanes + i % kernels::kLanes, 77);
    const size_t half_word = i % kernels::kFactors / kernels::kLanes;
    const uint32_t number = block[half_word / 2] >> (16 * (half_word % 2)) & 0xffff;
    EXPECT_EQ(factors[i], number >= 32768 ? 2.0F : 0.0F) << i;
  }
}

}  // namespace
}  // namespace capture
