// The packed way through the model against the plain, padded one.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include "../../src/model/kernels/panel_product.h"
#include "../../src/model/plain_form.h"
#include "capture/tensor/device.h"
#include "golden/golden.h"
#include "model/own_kernels.h"
#include "model/small_model.h"

namespace capture {
namespace {

using testing::IsEmpty;
using testing::IsSupersetOf;

/// Which tokens and regions are asked for in small_batch({5, 9, 2}, {4, 1, 7}): rows of the padded batch.
MaskedTargets some_rows() {
  MaskedTargets targets;
  targets.token_rows = at::tensor({1, 3, 9 + 8, 18 + 1}, at::kLong);
  targets.region_rows = at::tensor({2, 14 + 1, 14 + 6}, at::kLong);
  return targets;
}

/// A number that every output takes part in.
at::Tensor mixed(const PretrainingOutput& output) {
  at::Tensor sum = at::zeros({});
  for (const at::Tensor& part :
       {output.text_projection, output.region_projection, output.token_scores, output.region_predictions}) {
    sum = sum + (part * at::sin(at::arange(part.numel(), part.options())).view(part.sizes())).sum();
  }
  return sum;
}

/// By our kernels, and by LibTorch's operations, as on a GPU.
class PackedForms : public ::testing::TestWithParam<bool> {
 protected:
  PackedForms() {
    if (GetParam()) plain_.emplace();
  }

 private:
  std::optional<PlainForm> plain_;
};

INSTANTIATE_TEST_SUITE_P(PackedModel, PackedForms, ::testing::Bool(),
                         [](const auto& form) { return form.param ? "LibTorch" : "Own"; });

TEST_P(PackedForms, GiveWhatThePaddedBatchGivesWithTheSameGradients) {
  const std::vector<std::vector<int64_t>> layers = {{2, 1, 1, 2}, {1, 1, 0, 0}, {0, 0, 0, 2}, {1, 0, 2, 0}};
  for (const auto& count : layers) {
    SCOPED_TRACE(::testing::PrintToString(count));
    HybridStreamModel model = small_model(small_options(count[0], count[1], count[2], count[3]));
    const PairBatch batch = small_batch({5, 9, 2}, {4, 1, 7});
    const MaskedTargets rows = some_rows();
    const PackedBatch tight = packed(batch);
    const MaskedTargets tight_rows = packed(rows, batch);

    const PretrainingOutput expected = model->pretrain(batch, rows.token_rows, rows.region_rows);
    mixed(expected).backward();
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& parameter : model->parameters()) gradients.push_back(parameter.grad().clone());
    model->zero_grad();
    const PretrainingOutput actual = model->pretrain(tight, tight_rows.token_rows, tight_rows.region_rows);
    mixed(actual).backward();

    expect_near(actual.text_projection, expected.text_projection, 2e-5, "text_projection");
    expect_near(actual.region_projection, expected.region_projection, 2e-5, "region_projection");
    expect_near(actual.token_scores, expected.token_scores, 5e-5, "token_scores");
    expect_near(actual.region_predictions, expected.region_predictions, 5e-5, "region_predictions");
    size_t i = 0;
    for (const auto& item : model->named_parameters()) {
      const double size = gradients[i].abs().max().item<double>();
      expect_near(item.value().grad(), gradients[i++], 1e-4 * (1 + size), item.key());
    }

    const at::NoGradGuard no_gradient;
    const PairEmbeddings padded_embeddings = model->embed(batch);
    const PairEmbeddings embeddings = model->embed(tight);
    expect_near(embeddings.text_projection, padded_embeddings.text_projection, 2e-5, "text_projection");
    expect_near(embeddings.text_pooled, padded_embeddings.text_pooled, 2e-5, "text_pooled");
    expect_near(embeddings.region_pooled, padded_embeddings.region_pooled, 2e-5, "region_pooled");
    expect_near(model->project(tight).region_projection, padded_embeddings.region_projection, 2e-5, "project");
  }
}

/// Gradients of a number that every embedding takes part in; undefined ones as zeros.
template <class Embed>
std::vector<at::Tensor> gradients_of(HybridStreamModel model, const Embed& embed) {
  model->zero_grad();
  const PairEmbeddings embeddings = embed();
  at::Tensor sum = (embeddings.text_projection.sin() + embeddings.region_projection.cos()).sum();
  if (embeddings.text_pooled.defined()) {
    sum = sum + (embeddings.text_pooled.square() + embeddings.region_pooled.sin()).sum();
  }
  sum.backward();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : model->parameters()) {
    gradients.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::zeros_like(parameter));
  }
  return gradients;
}

TEST_P(PackedForms, HaveTheGradientsOfThePaddedEmbeddings) {
  HybridStreamModel model = small_model(small_options(2, 2, 1, 2));
  const PairBatch batch = small_batch({5, 9, 2}, {4, 1, 7});
  const PackedBatch tight = packed(batch);
  const auto expect_same = [&](const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected) {
    for (size_t i = 0; i < expected.size(); ++i) {
      expect_near(actual[i], expected[i], 1e-4 * (1 + expected[i].abs().max().item<double>()),
                  model->named_parameters().keys()[i]);
    }
  };
  expect_same(gradients_of(model, [&] { return model->embed(tight); }),
              gradients_of(model, [&] { return model->embed(batch); }));
  expect_same(gradients_of(model, [&] { return model->project(tight); }),
              gradients_of(model, [&] { return model->project(batch); }));
}

TEST(PackedModel, OursAreTheKernelsOfPackedBatchesAlone) {
  HybridStreamModel model = small_model(small_options(2, 1, 1, 2));
  model->train();
  const PairBatch batch = small_batch({5, 9, 2}, {4, 1, 7});
  const MaskedTargets rows = some_rows();
  const MaskedTargets tight_rows = packed(rows, batch);
  for (const Recompute which : {Recompute::none, Recompute::all}) {
    model->recompute(which);
    const auto plain = own_kernels([&] {
      mixed(model->pretrain(batch, rows.token_rows, rows.region_rows)).backward();
      model->embed(batch).text_pooled.sum().backward();
      model->project(batch).text_projection.sum().backward();
    });
    EXPECT_THAT(plain, IsEmpty());
    const auto packed_plain = own_kernels([&] {
      const PlainForm form;
      mixed(model->pretrain(packed(batch), tight_rows.token_rows, tight_rows.region_rows)).backward();
      model->embed(packed(batch)).text_pooled.sum().backward();
      model->project(packed(batch)).text_projection.sum().backward();
    });
    EXPECT_THAT(packed_plain, IsEmpty());
    const auto ours = own_kernels(
        [&] { mixed(model->pretrain(packed(batch), tight_rows.token_rows, tight_rows.region_rows)).backward(); });
    EXPECT_THAT(ours, IsSupersetOf({"capture::attention", "capture::attention_gradient", "capture::add_norm"}));
    EXPECT_EQ(ours.contains("capture::product.weight_gradient"), kernels::has_panel_product());
  }
  model->eval();
  model->pack(at::kFloat);
  const at::NoGradGuard no_gradient;
  EXPECT_THAT(own_kernels([&] { model->embed(batch); }), IsEmpty());
  EXPECT_THAT(own_kernels([&] { model->forward(batch); }), IsEmpty());
}

TEST_P(PackedForms, MatchThePublishedModel) {
  for (const auto& folder : golden_folders()) {
    SCOPED_TRACE(folder);
    Golden golden(folder);
    const PackedBatch batch = packed(golden.batch);
    const MaskedTargets targets = packed(golden.targets, golden.batch);
    const PretrainingOutput output = golden.model->pretrain(batch, targets.token_rows, targets.region_rows);
    const auto rows = [](const at::Tensor& tensor, const at::Tensor& index) {
      return tensor.flatten(0, 1).index_select(0, index);
    };
    expect_close(output.token_scores, rows(golden.io.tensor("mlm_logits"), golden.targets.token_rows), 1e-5, "mlm");
    expect_close(output.region_predictions, rows(golden.io.tensor("mrm_predictions"), golden.targets.region_rows), 1e-5,
                 "mrm");
    const auto expect_embeddings = [&] {
      const PairEmbeddings embeddings = golden.model->embed(batch);
      expect_close(embeddings.text_projection, golden.io.tensor("text_projection"), 1e-5, "text_projection");
      expect_close(embeddings.region_projection, golden.io.tensor("region_projection"), 1e-5, "region_projection");
      expect_close(embeddings.text_pooled, golden.io.tensor("text_pooled"), 1e-5, "text_pooled");
      expect_close(embeddings.region_pooled, golden.io.tensor("region_pooled"), 1e-5, "region_pooled");
    };
    const at::NoGradGuard no_gradient;
    expect_embeddings();
    golden.model->pack(at::kFloat);
    expect_embeddings();
    if (GetParam()) continue;  // LibTorch's form reads the weights
    const PairEmbeddings kept = golden.model->embed(batch), kept_early = golden.model->project(batch);
    for (int i = 0; i < 2; ++i) {
      golden.model->pack(at::kFloat, PackedWeights::given_up);
      EXPECT_TRUE(golden.model->embed(batch).text_pooled.equal(kept.text_pooled));
      EXPECT_TRUE(golden.model->embed(batch).region_pooled.equal(kept.region_pooled));
      EXPECT_TRUE(golden.model->project(batch).text_projection.equal(kept_early.text_projection));
      EXPECT_TRUE(golden.model->project(batch).region_projection.equal(kept_early.region_projection));
    }
  }
}

TEST_P(PackedForms, StayNearFloat32InBfloat16) {
  HybridStreamModel model = small_model(small_options(2, 1, 1, 2));
  const PackedBatch batch = packed(small_batch({5, 9, 2}, {4, 1, 7}));
  const MaskedTargets rows = packed(some_rows(), small_batch({5, 9, 2}, {4, 1, 7}));
  const PretrainingOutput exact = model->pretrain(batch, rows.token_rows, rows.region_rows);
  const AutocastScope autocast(at::kCPU, Precision::bfloat16);
  const PretrainingOutput rough = model->pretrain(batch, rows.token_rows, rows.region_rows);
  EXPECT_EQ(rough.text_projection.scalar_type(), at::kBFloat16);
  const double size = exact.token_scores.abs().max().item<double>();
  expect_near(rough.token_scores.to(at::kFloat), exact.token_scores, 0.05 * size, "token_scores");
  mixed(rough).backward();
  EXPECT_TRUE(model->text_stream->layers[0]->qkv->weight.grad().isfinite().all().item<bool>());
}

TEST(PackedModel, TrainsTheSameWhateverTheThreads) {
  HybridStreamModelOptions options = small_options(1, 1, 1, 1);
  options.dropout = options.attention_dropout = 0.3;
  HybridStreamModel model = small_model(options);
  model->train();
  const PackedBatch batch = packed(small_batch({5, 9, 2}, {4, 1, 7}));
  const MaskedTargets rows = packed(some_rows(), small_batch({5, 9, 2}, {4, 1, 7}));
  const auto scores = [&](int64_t seed) {
    at::manual_seed(seed);
    return model->pretrain(batch, rows.token_rows, rows.region_rows).token_scores.detach();
  };
  const int threads = at::get_num_threads();
  const at::Tensor first = scores(1);
  at::set_num_threads(1);
  EXPECT_TRUE(at::allclose(scores(1), first, 1e-5, 1e-5));
  at::set_num_threads(threads);
  EXPECT_FALSE(at::allclose(scores(2), first, 1e-2, 1e-2));
}

TEST(PackedModel, DropsOfAPairTheSameInWhateverBatch) {
  HybridStreamModelOptions options = small_options(2, 2, 1, 2);
  options.dropout = options.attention_dropout = 0.3;
  HybridStreamModel model = small_model(options);
  model->train();
  // Three pairs, the middle one of which is asked for its tokens 3 and 8 and its region 1.
  PackedBatch three = packed(small_batch({5, 9, 2}, {4, 3, 7}));
  three.items = at::tensor({70, 4, 11}, at::kLong);
  PackedBatch middle = three;
  middle.token_ids = three.token_ids.narrow(0, 5, 9);
  middle.text_starts = at::tensor({0, 9}, at::kInt);
  const auto regions = three.region_starts.slice(0, 1, 3);
  const int64_t first = regions[0].item<int>(), count = regions[1].item<int>() - first;
  middle.region_features = three.region_features.narrow(0, first, count);
  middle.region_locations = three.region_locations.narrow(0, first, count);
  middle.region_starts = at::tensor({0, static_cast<int32_t>(count)}, at::kInt);
  middle.items = three.items.narrow(0, 1, 1);
  const at::Tensor tokens = at::tensor({3, 8}, at::kLong);
  const at::Tensor region = at::tensor({1}, at::kLong);
  const auto run = [&](const PackedBatch& batch, int64_t token, int64_t row) {
    at::manual_seed(1);
    return model->pretrain(batch, tokens + token, region + row);
  };

  const PretrainingOutput expected = run(three, 5, first);
  const PretrainingOutput alone = run(middle, 0, 0);
  expect_near(alone.token_scores, expected.token_scores, 1e-5, "token_scores");
  expect_near(alone.region_predictions, expected.region_predictions, 1e-5, "region_predictions");
  expect_near(alone.text_projection[0], expected.text_projection[1], 1e-5, "text_projection");
  expect_near(alone.region_projection[0], expected.region_projection[1], 1e-5, "region_projection");
  middle.items = at::tensor({5}, at::kLong);
  EXPECT_FALSE(at::allclose(run(middle, 0, 0).token_scores, expected.token_scores, 1e-2, 1e-2));
}

// A process without masked positions takes project(); the others' dropout must not differ from its.
TEST(PackedModel, ProjectsWithTheDropoutOfPretraining) {
  HybridStreamModelOptions options = small_options(2, 2, 1, 2);
  options.dropout = options.attention_dropout = 0.3;
  HybridStreamModel model = small_model(options);
  model->train();
  const PackedBatch batch = packed(small_batch({5, 9, 2}, {4, 3, 7}));
  const at::Tensor rows = at::tensor({0}, at::kLong);
  at::manual_seed(1);
  const PretrainingOutput expected = model->pretrain(batch, rows, rows);
  at::manual_seed(1);
  const PairEmbeddings actual = model->project(batch);
  expect_near(actual.text_projection, expected.text_projection, 1e-5, "text_projection");
  expect_near(actual.region_projection, expected.region_projection, 1e-5, "region_projection");
}

}  // namespace
}  // namespace capture
