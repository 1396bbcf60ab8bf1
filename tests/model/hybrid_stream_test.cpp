#include "capture/model/hybrid_stream.h"

#include <gmock/gmock.h>

#include <functional>
#include <map>

#include "capture/base/error.h"
#include "capture/model/official.h"
#include "capture/tensor/device.h"
#include "model/small_model.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

struct Layers {
  int64_t text, image, cross, co;
};

const std::vector<Layers> kAllKinds = {{0, 0, 0, 0}, {1, 2, 0, 0}, {1, 1, 2, 0}, {0, 0, 1, 0}, {0, 0, 0, 1},
                                       {0, 0, 0, 3}, {1, 0, 0, 1}, {0, 2, 1, 2}, {2, 1, 1, 2}};

std::string name(const Layers& layers) {
  return std::to_string(layers.text) + " text, " + std::to_string(layers.image) + " image, " +
         std::to_string(layers.cross) + " cross, " + std::to_string(layers.co) + " co";
}

HybridStreamModel model_of(const Layers& layers) {
  return small_model(small_options(layers.text, layers.image, layers.cross, layers.co));
}

void expect_same_embeddings(const PairEmbeddings& actual, const PairEmbeddings& expected, double tolerance = 2e-5) {
  expect_near(actual.text_projection, expected.text_projection, tolerance, "text_projection");
  expect_near(actual.region_projection, expected.region_projection, tolerance, "region_projection");
  expect_near(actual.text_pooled, expected.text_pooled, tolerance, "text_pooled");
  expect_near(actual.region_pooled, expected.region_pooled, tolerance, "region_pooled");
}

const std::vector<int64_t> kTokens = {5, 9, 2, 7};
const std::vector<int64_t> kRegions = {4, 2, 6, 1};

TEST(HybridStreamModel, EmbedEqualsThePlainWay) {
  for (const Layers& layers : kAllKinds) {
    SCOPED_TRACE(name(layers));
    HybridStreamModel model = model_of(layers);
    HybridStreamModel laid_out = model_of(layers);
    laid_out->pack(at::kFloat);
    for (const PairBatch& batch :
         {small_batch(kTokens, kRegions), small_batch({6, 6}, {5, 5}), small_batch({6, 6}, {5, 3})}) {
      const PairEmbeddings expected = model->forward(batch).embeddings;
      expect_same_embeddings(model->embed(batch), expected);
      const at::NoGradGuard no_grad;
      expect_same_embeddings(model->embed(batch), expected);
      expect_same_embeddings(laid_out->embed(packed(batch)), expected);
      const PairEmbeddings projected = model->project(batch);
      expect_near(projected.text_projection, expected.text_projection, 2e-5, "project: text");
      expect_near(projected.region_projection, expected.region_projection, 2e-5, "project: regions");
      EXPECT_FALSE(projected.text_pooled.defined());
    }
  }
}

TEST(HybridStreamModel, PackedWeightsAreForTheirTypeWithoutGradientsUntilTheyChange) {
  const Layers layers{1, 1, 1, 2};
  const PackedBatch batch = packed(small_batch(kTokens, kRegions));
  HybridStreamModel plain = model_of(layers), laid_out = model_of(layers);
  laid_out->pack(at::kBFloat16);
  expect_same_embeddings(laid_out->embed(batch), plain->embed(batch), 0);
  const at::NoGradGuard no_grad;
  expect_same_embeddings(laid_out->embed(batch), plain->embed(batch), 0);
  {
    const AutocastScope autocast(at::kCPU, Precision::bfloat16);
    const at::Tensor expected = plain->embed(batch).text_pooled.to(at::kFloat);
    expect_near(laid_out->embed(batch).text_pooled.to(at::kFloat), expected, 0.1 * expected.abs().max().item<double>(),
                "bfloat16");
  }
  laid_out->pack(at::kFloat);
  for (const HybridStreamModel& model : {plain, laid_out}) {
    for (const auto& item : model->named_parameters()) item.value().add_(0.05);
  }
  expect_same_embeddings(laid_out->embed(batch), plain->embed(batch), 0);
  laid_out->pack(at::kFloat);
  expect_same_embeddings(laid_out->embed(batch), plain->embed(batch));
  laid_out->pack(at::kBFloat16);
  laid_out->unpack();
  const AutocastScope autocast(at::kCPU, Precision::bfloat16);
  expect_same_embeddings(laid_out->embed(batch), plain->embed(batch), 0);
}

/// Scores and predictions at rows, and the gradients of the sum of their squares.
struct Masked {
  at::Tensor scores, predictions;
  std::vector<at::Tensor> gradients;
};

Masked masked(HybridStreamModel model, at::Tensor scores, at::Tensor predictions) {
  model->zero_grad();
  (scores.square().sum() + predictions.square().sum()).backward();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : model->parameters()) {
    gradients.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::Tensor());
  }
  return {scores, predictions, gradients};
}

TEST(HybridStreamModel, PretrainEqualsThePlainWayAtTheMaskedRows) {
  const at::Tensor token_rows = at::tensor({1, 3, 10, 17, 28}, at::kLong);
  const at::Tensor region_rows = at::tensor({1, 2, 3, 7, 14, 17}, at::kLong);
  for (const Layers& layers : kAllKinds) {
    SCOPED_TRACE(name(layers));
    const HybridStreamModel model = model_of(layers);
    const PairBatch batch = small_batch(kTokens, kRegions);
    const HybridStreamOutput plain = model->forward(batch);
    const auto rows = [](const at::Tensor& all, const at::Tensor& index) {
      return all.flatten(0, 1).index_select(0, index);
    };
    const Masked expected = masked(model, rows(model->token_scores(plain.text_sequence), token_rows),
                                   rows(model->region_predictions(plain.region_sequence), region_rows));
    const PretrainingOutput fast = model->pretrain(batch, token_rows, region_rows);
    expect_near(fast.text_projection, plain.embeddings.text_projection, 2e-5, "text_projection");
    expect_near(fast.region_projection, plain.embeddings.region_projection, 2e-5, "region_projection");
    const Masked actual = masked(model, fast.token_scores, fast.region_predictions);
    expect_near(actual.scores, expected.scores, 2e-5, "scores");
    expect_near(actual.predictions, expected.predictions, 2e-5, "predictions");
    const auto names = model->named_parameters().keys();
    for (size_t i = 0; i < names.size(); ++i) {
      if (!expected.gradients[i].defined()) continue;
      const double scale = std::max(1.0, expected.gradients[i].abs().max().item<double>());
      expect_near(actual.gradients[i], expected.gradients[i], 1e-4 * scale, "gradient of " + names[i]);
    }
  }
}

TEST(HybridStreamModel, PretrainTakesNoRowsAtAll) {
  const at::Tensor none = at::empty({0}, at::kLong);
  for (const Layers& layers : {Layers{1, 1, 1, 1}, Layers{1, 1, 1, 0}}) {
    const HybridStreamModel model = model_of(layers);
    const PretrainingOutput output = model->pretrain(small_batch(kTokens, kRegions), none, none);
    EXPECT_EQ(output.token_scores.sizes(), at::IntArrayRef({0, 50}));
    EXPECT_EQ(output.region_predictions.sizes(), at::IntArrayRef({0, 10}));
    (output.token_scores.sum() + output.region_predictions.sum()).backward();
    EXPECT_EQ(model->token_head->bias.grad().abs().sum().item<double>(), 0.0);
  }
}

// The published code puts the co-transformer's padding mask on the wrong samples of a batch.
TEST(HybridStreamModel, EachSampleGetsTheResultThatItWouldGetAlone) {
  for (const Layers& layers : kAllKinds) {
    SCOPED_TRACE(name(layers));
    const HybridStreamModel model = model_of(layers);
    const PairBatch batch = small_batch(kTokens, kRegions);
    const HybridStreamOutput together = model->forward(batch);
    const PairEmbeddings embedded = model->embed(batch);
    for (int64_t i = 0; i < batch.size(); ++i) {
      const int64_t tokens = kTokens[static_cast<size_t>(i)];
      const int64_t regions = kRegions[static_cast<size_t>(i)];
      const HybridStreamOutput single = model->forward(alone(batch, i, tokens, regions));
      const auto own = [&](const at::Tensor& all, int64_t length) { return all.narrow(0, i, 1).narrow(1, 0, length); };
      expect_near(own(together.text_stream, tokens), single.text_stream, 2e-5, "text_stream");
      expect_near(own(together.region_stream, regions), single.region_stream, 2e-5, "region_stream");
      expect_near(own(together.text_sequence, tokens), single.text_sequence, 2e-5, "text_sequence");
      expect_near(own(together.region_sequence, regions), single.region_sequence, 2e-5, "region_sequence");
      expect_near(embedded.text_pooled[i].unsqueeze(0), single.embeddings.text_pooled, 2e-5, "text_pooled");
      expect_near(embedded.region_pooled[i].unsqueeze(0), single.embeddings.region_pooled, 2e-5, "region_pooled");
    }
  }
}

TEST(HybridStreamModel, WithoutJoiningLayersPooledAreTheProjections) {
  const PairEmbeddings dual = model_of({1, 1, 0, 0})->embed(small_batch(kTokens, kRegions));
  EXPECT_TRUE(at::equal(dual.text_pooled, dual.text_projection));
  EXPECT_TRUE(at::equal(dual.region_pooled, dual.region_projection));
  const PairEmbeddings joined = model_of({1, 1, 1, 0})->embed(small_batch(kTokens, kRegions));
  EXPECT_FALSE(at::allclose(joined.text_pooled, joined.text_projection));
}

TEST(HybridStreamModel, JoiningLayersLetEachSideSeeTheOther) {
  for (const Layers& layers : kAllKinds) {
    SCOPED_TRACE(name(layers));
    const HybridStreamModel model = model_of(layers);
    const PairBatch batch = small_batch(kTokens, kRegions);
    PairBatch other = batch;
    other.region_features = batch.region_features + 1.0;
    const PairEmbeddings before = model->embed(batch);
    const PairEmbeddings after = model->embed(other);
    EXPECT_TRUE(at::equal(before.text_projection, after.text_projection));
    const bool joins = layers.cross + layers.co > 0;
    EXPECT_EQ(at::allclose(before.text_pooled, after.text_pooled), !joins);
  }
}

TEST(HybridStreamModel, DropoutActsInTrainingAloneAndFollowsTheSeed) {
  HybridStreamModelOptions options = small_options(1, 1, 1, 1);
  options.dropout = 0.2;
  options.attention_dropout = 0.2;
  HybridStreamModel model = small_model(options);
  const PairBatch batch = small_batch(kTokens, kRegions);
  const at::Tensor calm = model->forward(batch).text_sequence;
  EXPECT_TRUE(at::equal(model->forward(batch).text_sequence, calm));
  model->train();
  at::manual_seed(5);
  const at::Tensor first = model->forward(batch).text_sequence;
  const at::Tensor second = model->forward(batch).text_sequence;
  at::manual_seed(5);
  const at::Tensor again = model->forward(batch).text_sequence;
  EXPECT_FALSE(at::allclose(first, calm));
  EXPECT_FALSE(at::allclose(first, second));
  EXPECT_TRUE(at::equal(first, again));
}

TEST(HybridStreamModel, Bfloat16StaysNearFloat32) {
  const HybridStreamModel model = model_of({1, 1, 1, 2});
  const PairBatch batch = small_batch(kTokens, kRegions);
  const at::Tensor rows = at::tensor({1, 3}, at::kLong);
  const at::Tensor exact = model->pretrain(batch, rows, rows).token_scores;
  const AutocastScope autocast(at::kCPU, Precision::bfloat16);
  const at::Tensor rounded = model->pretrain(batch, rows, rows).token_scores;
  expect_near(rounded.to(at::kFloat), exact, 0.15 * exact.abs().max().item<double>(), "scores");
  rounded.sum().backward();
  for (const auto& item : model->text_embedding->named_parameters()) {
    EXPECT_EQ(item.value().grad().scalar_type(), at::kFloat) << item.key();
  }
}

template <class Function>
void expect_refused(Function function, const std::string& because) {
  try {
    function();
    FAIL() << "expected: " << because;
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr(because));
  }
}

TEST(HybridStreamModel, ContradictingOptionsAreRefusedByKey) {
  const auto refused = [](const std::function<void(HybridStreamModelOptions&)>& spoil, const std::string& because) {
    HybridStreamModelOptions options = small_options(1, 1, 1, 1);
    spoil(options);
    expect_refused([&] { HybridStreamModel(options, 0); }, because);
  };
  refused([](auto& o) { o.text.heads = 5; }, "model.text.heads: is 5, which does not divide model.width, 24");
  refused([](auto& o) { o.image.heads = 7; }, "model.image.heads");
  refused([](auto& o) { o.cross.heads = 3; }, "model.cross.heads: is 3, which does not divide model.cross.width, 16");
  refused([](auto& o) { o.co_transformer.heads = 5; }, "model.co_transformer.heads");
  refused([](auto& o) { o.co_transformer.first_region = 20; }, "model.co_transformer.first_region");
  refused([](auto& o) { o.vocabulary_size = 0; }, "model.vocabulary_size");
  refused([](auto& o) { o.feature_width = 0; }, "model.feature_width");
  // A part without layers may have any number of heads.
  HybridStreamModelOptions options = small_options(0, 1, 1, 1);
  options.text.heads = 5;
  EXPECT_NO_THROW(HybridStreamModel(options, 0));
}

TEST(HybridStreamModel, InputsThatDoNotFitAreRefused) {
  const HybridStreamModel model = model_of({1, 1, 1, 1});
  expect_refused([&] { model->forward(small_batch({13}, {2})); }, "texts of 13 tokens are longer than");
  expect_refused([&] { model->forward(small_batch({2}, {9})); }, "8 regions and the global one, from position 12 on");
  expect_refused([&] { model->forward(small_batch({2}, {3}, 11)); },
                 "region features are 11 wide and the model expects 10");
  HybridStreamModelOptions options = small_options(1, 1, 1, 1);
  options.co_transformer.first_region = 4;
  expect_refused([&] { small_model(options)->forward(small_batch({5}, {3})); }, "run into the regions");
}

TEST(HybridStreamModel, TheDefaultIsThePapersModel) {
  EXPECT_EQ(official_parameter_count({}), 151'936'136);
  EXPECT_EQ(parameter_count({}), 151'936'136 - 4 * 2 * (768 * 512 + 768) - (768 * 768 + 3 * 768));
}

TEST(HybridStreamModel, LayoutNamesEveryParameter) {
  for (const Layers& layers : kAllKinds) {
    SCOPED_TRACE(name(layers));
    const HybridStreamModelOptions options = small_options(layers.text, layers.image, layers.cross, layers.co);
    HybridStreamModel model = small_model(options);
    std::map<std::string, std::vector<int64_t>> expected;
    for (const auto& item : model->named_parameters()) expected[item.key()] = item.value().sizes().vec();
    std::map<std::string, std::vector<int64_t>> actual;
    for (const ParameterShape& parameter : parameter_layout(options)) actual[parameter.name] = parameter.shape;
    EXPECT_EQ(actual, expected);
  }
}

}  // namespace
}  // namespace capture
