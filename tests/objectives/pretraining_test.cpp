#include "capture/objectives/pretraining.h"

#include <gmock/gmock.h>

#include <cmath>

#include "capture/base/error.h"
#include "model/small_model.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

/// NT-Xent, one number after the other.
double plain_contrast(const at::Tensor& regions, const at::Tensor& texts, double temperature) {
  const at::Tensor rows = at::cat({regions, texts}).to(at::kDouble);
  const int64_t pairs = regions.size(0);
  const auto cosine = [&](int64_t i, int64_t j) {
    return at::dot(rows[i], rows[j]).item<double>() / (rows[i].norm().item<double>() * rows[j].norm().item<double>());
  };
  double loss = 0.0;
  for (int64_t i = 0; i < 2 * pairs; ++i) {
    double sum = 0.0;
    for (int64_t j = 0; j < 2 * pairs; ++j) {
      if (j != i) sum += std::exp(cosine(i, j) / temperature);
    }
    loss += std::log(sum) - cosine(i, (i + pairs) % (2 * pairs)) / temperature;
  }
  return loss / static_cast<double>(2 * pairs);
}

TEST(ContrastiveLoss, EqualsThePlainFormula) {
  const at::Tensor regions = at::randn({5, 8});
  const at::Tensor texts = at::randn({5, 8});
  for (const double temperature : {0.07, 1.0}) {
    const double expected = plain_contrast(regions, texts, temperature);
    EXPECT_NEAR(contrastive_loss(regions, texts, temperature).item<double>(), expected, 1e-5 * expected);
  }
}

TEST(ContrastiveLoss, ASinglePairHasNothingToLearn) {
  EXPECT_NEAR(contrastive_loss(at::randn({1, 8}), at::randn({1, 8}), 0.07).item<double>(), 0.0, 1e-6);
}

TEST(ContrastiveLoss, LeavesOutPairsThatDoNotCount) {
  const auto loss_of = [](const at::Tensor& regions, const at::Tensor& texts, int64_t pairs) {
    at::Tensor own = regions.clone().requires_grad_();
    const at::Tensor loss = contrastive_loss(own, texts, 0.07, {}, pairs);
    loss.backward();
    return std::pair(loss, own.grad());
  };
  const at::Tensor regions = at::randn({5, 8}), texts = at::randn({5, 8});
  const auto [expected, gradient] = loss_of(regions.narrow(0, 0, 3), texts.narrow(0, 0, 3), -1);
  const auto [actual, whole] = loss_of(regions, texts, 3);
  EXPECT_TRUE(at::allclose(actual, expected));
  EXPECT_TRUE(at::allclose(whole.narrow(0, 0, 3), gradient));
  EXPECT_TRUE(whole.narrow(0, 3, 2).equal(at::zeros({2, 8})));
  const auto [none, zero] = loss_of(regions, texts, 0);
  EXPECT_EQ(none.item<double>(), 0.0);
  EXPECT_TRUE(zero.equal(at::zeros({5, 8})));
}

TEST(ContrastiveLoss, AProjectionOfZerosStaysFinite) {
  const at::Tensor regions = at::zeros({3, 8}).requires_grad_();
  const at::Tensor loss = contrastive_loss(regions, at::rand({3, 8}), 0.07);
  loss.backward();
  EXPECT_TRUE(std::isfinite(loss.item<double>()));
  EXPECT_TRUE(regions.grad().isfinite().all().item<bool>());
}

TEST(MaskedTokenLoss, EqualsThePlainFormula) {
  const at::Tensor scores = at::randn({4, 9});
  const at::Tensor tokens = at::tensor({0, 8, 3, 3}, at::kLong);
  double expected = 0.0;
  for (int64_t i = 0; i < 4; ++i) {
    expected += std::log(scores[i].exp().sum().item<double>()) - scores[i][tokens[i].item<int64_t>()].item<double>();
  }
  EXPECT_NEAR(masked_token_loss(scores, tokens).item<double>(), expected / 4.0, 1e-5);
}

TEST(MaskedFeatureLoss, IsAMeanOverRowsAndColumns) {
  const at::Tensor predictions = at::randn({3, 5});
  const at::Tensor features = at::randn({3, 5});
  const double expected = (predictions - features).square().sum().item<double>() / 15.0;
  EXPECT_NEAR(masked_feature_loss(predictions, features).item<double>(), expected, 1e-5);
}

TEST(MaskedClassLoss, IsTheDivergenceFromTheDetectorsClasses) {
  const at::Tensor scores = at::randn({3, 5});
  at::Tensor probabilities = at::softmax(at::randn({3, 5}), -1);
  probabilities[1] = at::one_hot(at::scalar_tensor(2, at::kLong), 5).to(at::kFloat);  // 0·log 0 counts as 0
  double expected = 0.0;
  const at::Tensor ours = at::softmax(scores, -1);
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t c = 0; c < 5; ++c) {
      const double p = probabilities[i][c].item<double>();
      if (p > 0) expected += p * (std::log(p) - std::log(ours[i][c].item<double>()));
    }
  }
  EXPECT_NEAR(masked_class_loss(scores, probabilities).item<double>(), expected / 3.0, 1e-5);
}

TEST(MaskedLosses, NothingMaskedGivesZeroAndZeroGradients) {
  const auto expect_zero = [](const auto& loss_of, const at::Tensor& target) {
    at::Tensor x = at::randn({4, 6}).requires_grad_();
    const at::Tensor loss = loss_of(x.narrow(0, 0, 0), target, at::Tensor());
    loss.backward();
    EXPECT_EQ(loss.template item<double>(), 0.0);
    EXPECT_EQ(x.grad().abs().sum().template item<double>(), 0.0);
  };
  expect_zero(masked_token_loss, at::empty({0}, at::kLong));
  expect_zero(masked_feature_loss, at::empty({0, 6}));
  expect_zero(masked_class_loss, at::empty({0, 6}));
}

TEST(MaskedLosses, RowsBehindThoseThatCountChangeNothing) {
  const auto expect_same = [](const auto& loss_of, const at::Tensor& x, const at::Tensor& target, int64_t filling) {
    const auto of = [&](const at::Tensor& rows, const at::Tensor& targets, const at::Tensor& count) {
      at::Tensor own = rows.clone().requires_grad_();
      const at::Tensor loss = loss_of(own, targets, count);
      loss.backward();
      return std::pair(loss, own.grad());
    };
    for (const int64_t rows : {3, 0}) {
      const auto [expected, gradient] = of(x.narrow(0, 0, rows), target.narrow(0, 0, rows), at::Tensor());
      at::Tensor filled = target.clone();
      filled.narrow(0, rows, 7 - rows).fill_(filling);
      const auto [actual, whole] = of(x, filled, at::scalar_tensor(rows, at::kLong));
      EXPECT_TRUE(at::allclose(actual, expected, 1e-6, 0)) << actual << expected;
      EXPECT_TRUE(whole.narrow(0, 0, rows).equal(gradient));
      EXPECT_EQ(whole.narrow(0, rows, 7 - rows).abs().sum().template item<double>(), 0.0);
    }
  };
  const at::Tensor x = at::randn({7, 5});
  expect_same(masked_token_loss, x, at::randint(0, 5, {7}, at::kLong), MaskedTargets::kNoToken);
  expect_same(masked_feature_loss, x, at::randn({7, 5}), 0);
  expect_same(masked_class_loss, x, at::softmax(at::randn({7, 5}), -1), 0);
}

class PretrainingLossesOf : public ::testing::Test {
 protected:
  PretrainingLossesOf() {
    targets_.token_rows = at::tensor({1, 3, 10}, at::kLong);
    targets_.token_ids = at::tensor({4, 49, 0}, at::kLong);
    targets_.region_rows = at::tensor({1, 7}, at::kLong);
    targets_.region_features = at::randn({2, 10});
  }

  PretrainingLosses losses(const HybridStreamModel& model) const {
    return pretraining_losses(*model, batch_, targets_, options_);
  }

  HybridStreamModel model_ = small_model(small_options(1, 1, 1, 1));
  PairBatch batch_ = small_batch({5, 9, 2, 7}, {4, 2, 6, 1});
  MaskedTargets targets_;
  PretrainingObjectiveOptions options_;
};

TEST_F(PretrainingLossesOf, AModelAddUpByWeight) {
  options_ = {.masked_tokens = 2.0, .masked_regions = 0.5, .contrastive = 3.0};
  const PretrainingLosses result = losses(model_);
  const double expected = 2.0 * result.masked_tokens.item<double>() + 0.5 * result.masked_regions.item<double>() +
                          3.0 * result.contrastive.item<double>();
  EXPECT_NEAR(result.total.item<double>(), expected, 1e-4);
  EXPECT_GT(result.masked_tokens.item<double>(), 0.0);
  EXPECT_FALSE(result.masked_tokens.requires_grad());
  EXPECT_TRUE(result.total.requires_grad());
}

TEST_F(PretrainingLossesOf, AModelComeFromThePlainPathsOutputs) {
  const HybridStreamOutput plain = model_->forward(batch_);
  const at::Tensor scores = model_->token_scores(plain.text_sequence).flatten(0, 1);
  const at::Tensor features = model_->region_predictions(plain.region_sequence).flatten(0, 1);
  const PretrainingLosses result = losses(model_);
  EXPECT_NEAR(result.masked_tokens.item<double>(),
              masked_token_loss(scores.index_select(0, targets_.token_rows), targets_.token_ids).item<double>(), 1e-4);
  EXPECT_NEAR(
      result.masked_regions.item<double>(),
      masked_feature_loss(features.index_select(0, targets_.region_rows), targets_.region_features).item<double>(),
      1e-4);
  EXPECT_NEAR(result.contrastive.item<double>(),
              plain_contrast(plain.embeddings.region_projection, plain.embeddings.text_projection, 0.07), 1e-4);
}

TEST_F(PretrainingLossesOf, WeightZeroLeavesAnObjectiveOut) {
  options_ = {.masked_tokens = 0.0, .masked_regions = 0.0};
  PretrainingLosses result = losses(model_);
  EXPECT_EQ(result.masked_tokens.item<double>(), 0.0);
  EXPECT_EQ(result.total.item<double>(), result.contrastive.item<double>());
  result.total.backward();
  EXPECT_FALSE(model_->co_position->weight.grad().defined()) << "the joint part did not run";

  options_ = {.masked_tokens = 1.0, .masked_regions = 0.0, .contrastive = 0.0};
  result = losses(model_);
  EXPECT_EQ(result.total.item<double>(), result.masked_tokens.item<double>());
}

TEST_F(PretrainingLossesOf, ABatchWithoutMasksHaveNoMaskedPart) {
  targets_ = {.token_rows = at::empty({0}, at::kLong),
              .token_ids = at::empty({0}, at::kLong),
              .region_rows = at::empty({0}, at::kLong),
              .region_features = at::empty({0, 10}),
              .region_classes = {}};
  const PretrainingLosses result = losses(model_);
  EXPECT_EQ(result.masked_tokens.item<double>(), 0.0);
  EXPECT_EQ(result.masked_regions.item<double>(), 0.0);
  result.total.backward();
  for (const auto& item : model_->named_parameters()) {
    const at::Tensor& gradient = item.value().grad();
    ASSERT_TRUE(gradient.defined()) << item.key();
    EXPECT_TRUE(gradient.isfinite().all().item<bool>()) << item.key();
    const std::string& name = item.key();
    const bool before_projections = name.find("_embedding.") != std::string::npos || name.starts_with("text_stream.") ||
                                    name.starts_with("image_stream.") || name.find("_projection.") != std::string::npos;
    EXPECT_EQ(gradient.abs().sum().item<double>() > 0.0, before_projections) << name;
  }
}

TEST_F(PretrainingLossesOf, ClassesNeedClassesInTheDataAndTheModel) {
  options_.region_objective = RegionObjective::classes;
  const auto refusal = [&](const HybridStreamModel& model) -> std::string {
    try {
      losses(model);
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal(model_), HasSubstr("holds no class probabilities"));
  targets_.region_classes = at::softmax(at::randn({2, 7}), -1);
  EXPECT_THAT(refusal(model_), HasSubstr("model.region_outputs: the model predicts 10 numbers a region"));
  HybridStreamModelOptions options = small_options(1, 1, 1, 1);
  options.region_outputs = 7;
  EXPECT_EQ(refusal(small_model(options)), "accepted");
}

}  // namespace
}  // namespace capture
