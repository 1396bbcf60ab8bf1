#include "capture/retrieval/embedder.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <string>

#include "capture/base/error.h"
#include "capture/data/loader.h"
#include "capture/retrieval/recipe.h"
#include "capture/tensor/device.h"
#include "capture/tensor/safetensors.h"
#include "embedding.h"
#include "model/own_kernels.h"

namespace capture {
namespace {

using testing::HasSubstr;
using testing::IsSupersetOf;

TEST_F(EmbedderTest, NeitherBatchSizeNorWorkersChangeTheVectors) {
  const PairEmbeddings alone = embedded({.batch_size = 1, .workers = 0});
  EXPECT_EQ(alone.text_pooled.sizes(), at::IntArrayRef({23, 8}));
  expect_near(embedded({.batch_size = 7, .workers = 2}), alone, 1e-5);
  expect_near(embedded({.batch_size = 64, .workers = 1}), alone, 1e-5);
}

TEST_F(EmbedderTest, ThePlainPathGivesTheSameWithoutKernelsOfOurs) {
  const PairEmbeddings expected = embedded({.batch_size = 5});
  const auto heard = own_kernels([&] { expect_near(embedded({.batch_size = 5, .packed = false}), expected, 1e-5); });
  EXPECT_TRUE(heard.empty()) << testing::PrintToString(heard);
}

TEST_F(EmbedderTest, AGpuGivesTheSame_CUDA) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  const PairEmbeddings expected = embedded({.batch_size = 5});
  HybridStreamModel there = model_;
  there->to(gpu);
  for (const bool packed : {true, false}) {
    // Several batches, each of which is fetched while the next is computed.
    expect_near(embed(there, gpu, data_, letters_, {.batch_size = 5, .packed = packed}), expected, 1e-3);
  }
}

TEST_F(EmbedderTest, ProcessesShareTheRowsAndLeaveTheOthersZero) {
  const auto projections = [](const PairEmbeddings& rows) {
    return at::cat({rows.text_projection, rows.region_projection, rows.text_pooled, rows.region_pooled}, 1);
  };
  const at::Tensor alone = projections(embedded({}));
  for (const int64_t ranks : {2, 4, 5}) {  // of 23 samples: the last ranks lack one
    at::Tensor sum = at::zeros_like(alone);
    at::Tensor filled = at::zeros({23}, at::kLong);
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const at::Tensor rows = projections(embedded({.batch_size = 3, .rank = rank, .world_size = ranks}));
      sum += rows;
      filled += rows.ne(0).any(1);
    }
    EXPECT_TRUE(filled.eq(1).all().item<bool>()) << filled;
    EXPECT_TRUE(at::allclose(sum, alone, 1e-5, 1e-5)) << ranks;
  }
}

TEST_F(EmbedderTest, RowsAreWhatTheModelMakesOfEachSampleUnmasked) {
  LoaderOptions order;
  order.batch_size = 23;
  order.shuffle = false;
  const Batch batch = *Loader(data_, letters_, order).next();
  model_->eval();
  expect_near(embedded({.batch_size = 4}), model_->forward(batch.inputs).embeddings, 1e-5);
}

TEST_F(EmbedderTest, AModelInTrainingIsPutIntoEvaluation) {
  const PairEmbeddings expected = embedded({});
  model_->train();
  expect_near(embedded({}), expected, 0);
}

TEST_F(EmbedderTest, Bfloat16StaysNear) {
  const PairEmbeddings full = embedded({});
  const PairEmbeddings half = embedded({.precision = Precision::bfloat16});
  for (const Recipe recipe : all_recipes()) {
    const at::Tensor a = apply(recipe, RecipeSide::query, full), b = apply(recipe, RecipeSide::query, half);
    // A side that ReLU leaves nothing of is a row of zeros in both.
    const at::Tensor similarity = (a * b).sum(1) / a.square().sum(1).clamp_min(1e-6);
    EXPECT_TRUE((similarity > 0.99).logical_or(a.norm(2, 1) == 0).all().item<bool>()) << name_of(recipe);
  }
}

TEST_F(EmbedderTest, WhatDoesNotFitTheModelIsRefused) {
  const auto refusal = [&](const HybridStreamModelOptions& options, const EmbedderOptions& embedder) -> std::string {
    HybridStreamModel model(options, 1);
    try {
      embed(model, at::kCPU, data_, letters_, embedder);
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  HybridStreamModelOptions options = small_model(10);
  options.vocabulary_size = 7;
  EXPECT_THAT(refusal(options, {}), HasSubstr("vocabulary of size 7"));
  EXPECT_THAT(refusal(small_model(11), {}), HasSubstr("features of width 11"));
  options = small_model(10);
  options.text_positions = 8;
  EXPECT_THAT(refusal(options, {.max_tokens = 9}), HasSubstr("9 tokens"));
  options.co_transformer.first_region = 7;
  EXPECT_THAT(refusal(options, {.max_tokens = 8}), HasSubstr("model.co_transformer.first_region"));
  options.co_transformer.positions = 12;
  EXPECT_THAT(refusal(options, {.max_tokens = 7}), HasSubstr("model.co_transformer.positions"));
  EXPECT_EQ(refusal(options, {.max_tokens = 7, .max_regions = 4}), "accepted");
}

TEST_F(EmbedderTest, RawFeaturesAreTheMeanOfTheFirstViewsRegions) {
  const at::Tensor means = mean_features(data_, 2);
  const RegionsView regions = data_.sample(4).regions();
  at::Tensor expected = at::zeros({10});
  const int64_t count = std::min<int64_t>(regions.count, 2);
  for (int64_t r = 0; r < count; ++r) {
    at::Tensor feature = at::empty({10});
    regions.copy_feature(r, feature.mutable_data_ptr<float>());
    expected += feature / count;
  }
  EXPECT_TRUE(at::allclose(means[4], expected / expected.norm()));
  EXPECT_TRUE(at::allclose(means.norm(2, 1), at::ones({23})));
}

TEST_F(EmbedderTest, ADatasetIsAProductList) {
  const ProductList list = product_list(data_, "gallery");
  ASSERT_EQ(list.products.size(), 23u);
  EXPECT_EQ(list.products[3].id, "item-3");
  EXPECT_EQ(list.products[3].caption, data_.sample(3).title());
  EXPECT_EQ(list.products[3].labels.size(), data_.sample(3).labels().size());
  EXPECT_EQ(list.products[3].where, data_.where(3));
}

TEST_F(EmbedderTest, IdsThatNoRankingCouldHoldAreRefused) {
  const auto refusal = [&](const std::string& id, const std::vector<std::filesystem::path>& beside) -> std::string {
    const std::filesystem::path path = folder_ / "odd.capshard";
    ShardWriter writer(path, small_layout());
    Sample sample = make_sample(small_layout(), 0);
    sample.id = id;
    writer.add(sample);
    writer.finish();
    std::vector<std::filesystem::path> paths = beside;
    paths.push_back(path);
    try {
      product_list(Dataset(paths), "gallery");
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("a b", {}), "accepted");
  for (const char* id : {"a,b", "a\nb", " a", "a\u3000"}) EXPECT_THAT(refusal(id, {}), HasSubstr("cannot stand"));
  EXPECT_THAT(refusal("item-7", {folder_ / "small.capshard"}), HasSubstr("'item-7' stands twice"));
}

TEST_F(EmbedderTest, WrittenVectorsKeepTheirIds) {
  std::vector<std::string> ids;
  for (const ListedProduct& product : product_list(data_, "gallery").products) ids.push_back(product.id);
  const at::Tensor vectors = at::randn({23, 4});
  write_embeddings(folder_ / "e.safetensors", {{"gallery", vectors, ids}}, "pre.sum");
  const SafetensorsFile file(folder_ / "e.safetensors");
  EXPECT_TRUE(at::equal(file.tensor("gallery"), vectors));
  EXPECT_EQ(file.metadata().at("recipe"), "pre.sum");
  const at::Tensor ends = file.tensor("gallery.id_ends"), bytes = file.tensor("gallery.ids");
  const auto begin = ends[10].item<int64_t>(), end = ends[11].item<int64_t>();
  const auto* text = static_cast<const char*>(bytes.const_data_ptr());
  EXPECT_EQ(std::string(text + begin, text + end), "item-11");
}

TEST(Recipe, EachIsWhatItsNameSays) {
  const at::Tensor text = at::tensor({3.0f, 4.0f, 0.0f, 0.0f}).view({2, 2});
  const at::Tensor image = at::tensor({0.0f, 2.0f, 1.0f, 0.0f}).view({2, 2});
  const PairEmbeddings pairs{text, image, image, text};
  EXPECT_TRUE(at::allclose(apply(parse_recipe("pre.text"), RecipeSide::query, pairs),
                           at::tensor({0.6f, 0.8f, 0.0f, 0.0f}).view({2, 2})));
  EXPECT_TRUE(at::equal(apply(parse_recipe("post.text"), RecipeSide::query, pairs),
                        apply(parse_recipe("pre.image"), RecipeSide::query, pairs)));
  EXPECT_TRUE(at::allclose(apply(parse_recipe("pre.concat"), RecipeSide::query, pairs),
                           at::tensor({0.6f, 0.8f, 0.0f, 1.0f, 0.0f, 0.0f, 1.0f, 0.0f}).view({2, 4})));
  const at::Tensor sum = apply(parse_recipe("pre.sum"), RecipeSide::query, pairs);
  EXPECT_TRUE(at::allclose(sum[0], at::tensor({0.6f, 1.8f}) / std::hypot(0.6, 1.8)));
  EXPECT_TRUE(at::equal(sum[1], at::tensor({1.0f, 0.0f}))) << "a side of zeros adds nothing, and is not NaN";
}

TEST(Recipe, TheSidesMayDiffer) {
  const at::Tensor text = at::tensor({3.0f, 4.0f}).view({1, 2}), image = at::tensor({0.0f, 2.0f}).view({1, 2});
  const PairEmbeddings pairs{text, image, text, image};
  const Recipe recipe = parse_recipe("pre.image-to-text");
  EXPECT_TRUE(at::equal(apply(recipe, RecipeSide::query, pairs), unit_rows(image)));
  EXPECT_TRUE(at::equal(apply(recipe, RecipeSide::gallery, pairs), unit_rows(text)));
}

TEST(Recipe, NamesReadBack) {
  std::vector<std::string> names;
  for (const Recipe recipe : all_recipes()) {
    EXPECT_EQ(parse_recipe(name_of(recipe)), recipe);
    names.push_back(name_of(recipe));
  }
  EXPECT_EQ(names.size(), 20U);
  EXPECT_THAT(names, IsSupersetOf({"pre.concat", "pre.sum", "pre.text", "pre.image", "post.concat", "post.sum",
                                   "post.text", "post.image"}));
  try {
    parse_recipe("pre.sun");
    ADD_FAILURE();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean pre.sum?"));
  }
}

}  // namespace
}  // namespace capture
