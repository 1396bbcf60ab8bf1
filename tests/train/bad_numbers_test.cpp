#include "capture/train/bad_numbers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "capture/base/files.h"
#include "capture/base/json.h"
#include "capture/data/loader.h"
#include "capture/train/bad_step.h"
#include "small_training.h"

namespace capture {
namespace {

/// A model that is whole, and a batch of twelve pairs; each test breaks one thing.
class BadNumbersTest : public ::testing::Test {
 protected:
  BadNumbersTest() {
    config_ = small_training(/*width=*/16, /*layers=*/1);
    config_.model.co_transformer.layers = 2;
    config_.loader.batch_size = 12;
    model_ = HybridStreamModel(config_.model, 3);
    model_->train();
    for (const auto& item : model_->named_parameters()) parameters_[item.key()] = item.value();
  }

  Batch batch() const {
    Loader loader(parts_.training, *parts_.tokenizer, config_.loader, config_.masking);
    return *loader.next();
  }
  std::optional<BadNumbers> found(const Batch& batch) const {
    return find_bad_numbers(model_, batch, config_.objective, at::kCPU, Precision::float32);
  }
  void scale(const std::string& name, double factor) {
    const at::NoGradGuard no_gradient;
    parameters_.at(name).mul_(factor);
  }

  TemporaryFolder folder_;
  const ShardLayout layout_ = small_layout();
  TrainConfig config_;
  TrainingParts parts_ = [this] {
    write_samples(folder_ / "train.capshard", layout_, 12);
    return TrainingParts{at::kCPU, std::make_unique<Letters>(), Dataset(folder_.path()), {}};
  }();
  HybridStreamModel model_ = nullptr;
  std::map<std::string, at::Tensor> parameters_;
};

TEST_F(BadNumbersTest, NothingIsFoundWhereAllIsFinite) {
  EXPECT_FALSE(found(batch()));
}

TEST_F(BadNumbersTest, AParameterThatIsNotFiniteIsNamed) {
  scale("cross.0.text.out.bias", 0);
  const at::NoGradGuard no_gradient;
  parameters_.at("cross.0.text.out.bias")[3] = NAN;
  EXPECT_EQ(found(batch())->where, "the parameter cross.0.text.out.bias");
}

TEST_F(BadNumbersTest, FeaturesThatAreNotFiniteAreNamedWithTheirPairs) {
  Batch bad = batch();
  bad.inputs.region_features[4][1][2] = INFINITY;
  bad.inputs.region_features[9][0][0] = NAN;
  const auto result = found(bad);
  EXPECT_EQ(result->where, "the region features");
  EXPECT_EQ(result->rows, (std::vector<int64_t>{4, 9}));
}

TEST_F(BadNumbersTest, TheModuleIsNamedAndThePairsThatReachIt) {
  // One letter's embedding is so long that LayerNorm overflows: only titles with that letter do it. As a target, the
  // letter would be bad for all.
  config_.objective.masked_tokens = 0;
  const Batch letters = batch();
  const int64_t letter = letters.inputs.token_ids[2][1].item<int64_t>();
  std::vector<int64_t> expected;
  for (int64_t row = 0; row < 12; ++row) {
    const at::Tensor valid = letters.inputs.token_ids[row].masked_select(letters.inputs.text_mask[row]);
    if (valid.eq(letter).any().item<bool>()) expected.push_back(row);
  }
  ASSERT_LT(expected.size(), 8);
  {
    const at::NoGradGuard no_gradient;
    parameters_.at("text_embedding.word.weight")[letter].fill_(3e38).mul_(at::arange(16).remainder(2).mul(2).sub(1));
  }
  const auto result = found(letters);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->where, "text_embedding.norm (layer_norm)");
  EXPECT_EQ(result->rows, expected);
}

TEST_F(BadNumbersTest, AProductThatOverflowsDeepInsideIsFoundThere) {
  scale("co_transformer.1.down.weight", 1e38);
  scale("co_transformer.1.up.weight", 1e3);
  const auto result = found(batch());
  ASSERT_TRUE(result);
  EXPECT_EQ(result->where, "co_transformer.1.down (addmm)");
  EXPECT_EQ(result->rows.size(), 8);  // the first eight of those that have something masked
}

TEST_F(BadNumbersTest, AGradientThatOverflowsIsNamedByItsModule) {
  scale("region_head.transform.norm.weight", 1e-7);
  scale("region_head.decoder.weight", 1e26);
  const auto result = found(batch());
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->where.starts_with("the gradient of region_head.")) << result->where;
  for (const auto& [name, parameter] : parameters_) EXPECT_FALSE(parameter.grad().defined()) << name;
}

TEST_F(BadNumbersTest, AFileSaysWhatTheStepWasMadeOf) {
  config_.loader.batch_size = 4;
  config_.loader.shuffle = true;
  for (const double factor : {1e38, 30.0}) scale("region_embedding.feature.weight", factor);
  explain_bad_step(config_, parts_, model_, {}, {.step = 8, .epoch = 2, .first = 1, .count = 2}, {NAN, 1, 2, 3, 4},
                   folder_ / "bad_steps");
  const Json json = read_json(folder_ / "bad_steps/step_8.json").root;
  EXPECT_EQ(json["first_bad_number"], "region_embedding.feature (linear)");
  ASSERT_EQ(json["batches"].size(), 2);
  Loader loader(parts_.training, *parts_.tokenizer, config_.loader, config_.masking,
                {.first_epoch = 2, .first_batch = 1});
  for (const Json& ids : json["batches"]) {
    const Batch expected = *loader.next();
    ASSERT_EQ(ids.size(), expected.samples.size());
    for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], parts_.training.sample(expected.samples[i]).id());
  }
  EXPECT_EQ(json["pairs_that_give_it"], json["batches"][0]);
  EXPECT_EQ(json["loss"], "nan");
  EXPECT_EQ(json["masked_tokens"], 1.0);
}

TEST_F(BadNumbersTest, ARerunThatFailsIsAWarning) {
  parameters_.at("region_embedding.feature.weight").set_data(at::zeros({3, 2}));  // fits no product
  ASSERT_ANY_THROW(found(batch()));
  ::testing::internal::CaptureStdout();
  explain_bad_step(config_, parts_, model_, {}, {.step = 8, .epoch = 0, .first = 0, .count = 1}, {NAN, 1, 2, 3, 4},
                   folder_ / "bad_steps");
  EXPECT_NE(::testing::internal::GetCapturedStdout().find("cannot be found out: "), std::string::npos);
  const Json json = read_json(folder_ / "bad_steps/step_8.json").root;
  EXPECT_TRUE(json["first_bad_number"].is_null());
  EXPECT_EQ(json["batches"][0].size(), 12);
}

}  // namespace
}  // namespace capture
