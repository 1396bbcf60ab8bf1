// Embeddings that are kept, and those of samples in memory.
#include "capture/retrieval/embedding_cache.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <fstream>

#include "capture/base/files.h"
#include "capture/retrieval/recipe.h"
#include "embedding.h"

namespace capture {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class EmbedSamplesTest : public EmbedderTest {
 protected:
  PairEmbeddings asked(const std::vector<Sample>& samples, const EmbedderOptions& options = {}) {
    return embed_samples(model_, at::kCPU, samples, letters_, options);
  }
  std::string refusal(const Sample& sample) {
    return error_of([&] { asked({sample}); });
  }
};

Sample whole_sample(int64_t number) {
  Sample sample = make_sample(small_layout(), number);
  sample.titles = {"title " + std::to_string(number * 37)};
  return sample;
}

TEST_F(EmbedSamplesTest, OfAThousandAtOnceEachIsWhatItIsAloneAndInAShard) {
  const std::filesystem::path path = folder_ / "thousand.capshard";
  ShardWriter writer(path, small_layout());
  std::vector<Sample> samples;
  for (int64_t i = 0; i < 1000; ++i) {
    samples.push_back(whole_sample(i));
    writer.add(samples.back());
  }
  writer.finish();
  const PairEmbeddings all = asked(samples);
  expect_near(embed(model_, at::kCPU, Dataset(path), letters_, {}), all, 1e-5);
  for (int64_t i = 0; i < 1000; i += 7) {
    const PairEmbeddings alone = asked({samples[static_cast<size_t>(i)]}, {.batch_size = 1});
    for (const auto member : kEmbeddings) {
      ASSERT_LE(((all.*member)[i] - (alone.*member)[0]).abs().max().item<double>(), 1e-5) << i;
    }
  }
}

TEST_F(EmbedSamplesTest, LimitsAreThoseOfADataset) {
  const EmbedderOptions options{.max_tokens = 5, .max_regions = 2};
  std::vector<Sample> samples;
  for (int64_t i = 0; i < data_.size(); ++i) samples.push_back(data_.sample(i).copy());
  const PairEmbeddings found = asked(samples, options), stored = embedded(options);
  expect_near({found.region_projection, found.region_projection, found.region_pooled, found.region_pooled},
              {stored.region_projection, stored.region_projection, stored.region_pooled, stored.region_pooled}, 1e-5);
}

TEST_F(EmbedSamplesTest, AMissingSideIsZeroAndTheOtherDoesNotFeelItsNeighbours) {
  const Sample both = whole_sample(3);
  Sample text = both, photo = both;
  text.views.clear();
  photo.titles.clear();
  const PairEmbeddings found = asked({photo, both, text, whole_sample(4)}, {.batch_size = 4});
  for (const auto member : {&PairEmbeddings::text_projection, &PairEmbeddings::text_pooled}) {
    EXPECT_EQ((found.*member)[0].abs().max().item<float>(), 0);
    EXPECT_GT((found.*member)[2].abs().max().item<float>(), 0);
  }
  for (const auto member : {&PairEmbeddings::region_projection, &PairEmbeddings::region_pooled}) {
    EXPECT_GT((found.*member)[0].abs().max().item<float>(), 0);
    EXPECT_EQ((found.*member)[2].abs().max().item<float>(), 0);
  }
  EXPECT_TRUE(at::allclose(found.text_projection[2], found.text_projection[1], 0, 1e-6)) << "nothing is fused yet";
  EXPECT_TRUE(at::allclose(found.region_projection[0], found.region_projection[1], 0, 1e-6));
  EXPECT_TRUE(at::allclose(found.text_pooled[2], asked({text}).text_pooled[0], 0, 1e-5));
  EXPECT_TRUE(at::allclose(found.region_pooled[0], asked({photo}).region_pooled[0], 0, 1e-5));

  // What stands in for the photo: one global region without features. And for the title: an empty one.
  PairBatch blank;
  blank.token_ids = at::tensor(encode_with_specials(letters_, text.titles[0]), at::kLong).unsqueeze(0);
  blank.text_mask = at::ones(blank.token_ids.sizes(), at::kBool);
  blank.region_features = at::zeros({1, 1, small_layout().feature_width});
  blank.region_locations = at::tensor({0.0F, 0.0F, 1.0F, 1.0F, 1.0F}).view({1, 1, 5});
  blank.region_mask = at::ones({1, 1}, at::kBool);
  EXPECT_TRUE(at::allclose(found.text_pooled[2], model_->forward(blank).embeddings.text_pooled[0], 0, 1e-5));
  Sample empty = photo;
  empty.id = "empty";
  empty.titles = {""};
  ShardWriter writer(folder_ / "empty.capshard", small_layout());
  writer.add(empty);
  writer.finish();
  const PairEmbeddings stored = embed(model_, at::kCPU, Dataset(folder_ / "empty.capshard"), letters_, {});
  EXPECT_TRUE(at::allclose(found.region_pooled[0], stored.region_pooled[0], 0, 1e-5));
}

TEST_F(EmbedSamplesTest, NoSamplesGiveNoRows) {
  EXPECT_EQ(asked({}).text_pooled.sizes(), at::IntArrayRef({0, 8}));
}

TEST_F(EmbedSamplesTest, WhatDoesNotAddUpIsRefusedByName) {
  Sample sample = whole_sample(1);
  sample.views.clear();
  sample.titles = {""};
  EXPECT_THAT(refusal(sample), HasSubstr("sample \"item-1\": has neither a title nor a photo"));
  sample = whole_sample(1);
  sample.views[0].features.pop_back();
  EXPECT_THAT(refusal(sample), HasSubstr("feature values"));
  sample = whole_sample(1);
  sample.views[0].boxes.pop_back();
  EXPECT_THAT(refusal(sample), HasSubstr("4 a region"));
  sample = whole_sample(1);
  sample.views[0].image_height = 0;
  EXPECT_THAT(refusal(sample), HasSubstr("640 by 0 pixels"));
  sample = whole_sample(1);
  sample.views[0].features[3] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(refusal(sample), HasSubstr("not finite"));
}

class EmbeddingCacheTest : public EmbedderTest {
 protected:
  PairEmbeddings cached(const EmbedderOptions& options = {}) {
    passes_ = 0;
    return embed_cached(CacheOfModel(cache_, *model_), model_, at::kCPU, data_, letters_, options,
                        [&](int64_t) { ++passes_; });
  }
  std::string key(const EmbedderOptions& options = {}) {
    return embedding_key(fingerprint(*model_), at::kCPU, data_, letters_, options);
  }
  std::vector<std::filesystem::path> entries() const {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(cache_.folder())) paths.push_back(entry.path());
    return paths;
  }

  EmbeddingCache cache_{folder_ / "cache"};
  int passes_ = 0;
};

TEST_F(EmbeddingCacheTest, TheSecondTimeNothingRunsAndTheVectorsAreTheSame) {
  const PairEmbeddings first = cached({.batch_size = 5});
  EXPECT_EQ(passes_, 5);
  const PairEmbeddings second = cached({.batch_size = 5});
  EXPECT_EQ(passes_, 1);
  expect_near(second, first, 0);
  expect_near(embed_cached(std::nullopt, model_, at::kCPU, data_, letters_, {.batch_size = 5}), first, 0);
}

TEST_F(EmbeddingCacheTest, ProjectionsAloneComeFromWholeEntriesOrOnesOfTheirOwn) {
  const PairEmbeddings projections = cached({.pooled = false});
  EXPECT_FALSE(projections.text_pooled.defined());
  EXPECT_TRUE(at::allclose(projections.text_projection, embedded({}).text_projection, 0, 1e-5));
  cached({.batch_size = 5, .pooled = false});
  EXPECT_EQ(passes_, 1);
  const PairEmbeddings whole = cached({.batch_size = 5});
  EXPECT_EQ(passes_, 5) << "the pooled outputs were not there";
  std::filesystem::remove_all(cache_.folder());
  cached();
  EXPECT_TRUE(at::allclose(cached({.pooled = false}).region_projection, whole.region_projection, 0, 1e-5));
  EXPECT_EQ(passes_, 1);
  EXPECT_EQ(entries().size(), 1U);
}

TEST_F(EmbeddingCacheTest, TheKeyIsMadeOfContent) {
  const std::string before = key();
  EXPECT_EQ(key({.batch_size = 3, .workers = 0, .max_regions = 5}), before) << "what changes no vector";
  EXPECT_NE(key({.max_tokens = 35}), before);
  EXPECT_NE(key({.max_regions = 4}), before);
  EXPECT_NE(key({.precision = Precision::bfloat16}), before);
  std::filesystem::copy_file(folder_ / "small.capshard", folder_ / "copy.capshard");
  EXPECT_EQ(embedding_key(fingerprint(*model_), at::kCPU, Dataset(folder_ / "copy.capshard"), letters_, {}), before);
  write_samples(folder_ / "other.capshard", small_layout(), 22);
  EXPECT_NE(embedding_key(fingerprint(*model_), at::kCPU, Dataset(folder_ / "other.capshard"), letters_, {}), before);
  HybridStreamModelOptions options = model_->options();
  EXPECT_EQ(fingerprint(*HybridStreamModel(options, 5)), fingerprint(*model_));
  EXPECT_NE(fingerprint(*HybridStreamModel(options, 6)), fingerprint(*model_));
  options.co_transformer.first_region = 30;  // the same weights, read otherwise
  EXPECT_NE(fingerprint(*HybridStreamModel(options, 5)), fingerprint(*model_));
  const at::NoGradGuard no_grad;
  model_->text_output->bias[7] += 1e-6;
  EXPECT_NE(key(), before);
}

TEST_F(EmbeddingCacheTest, KnowsAModelThatHasGivenUpItsWeights) {
  const PairEmbeddings expected = embedded({.batch_size = 5});
  const std::string before = key();
  const CacheOfModel cache(cache_, *model_);
  const EmbedderOptions options{.batch_size = 5, .weights = PackedWeights::given_up};
  for (const int batches : {5, 1}) {
    passes_ = 0;
    const auto count = [&](int64_t) { ++passes_; };
    expect_near(embed_cached(cache, model_, at::kCPU, data_, letters_, options, count), expected, 0);
    EXPECT_EQ(passes_, batches);
  }
  EXPECT_TRUE(cache_.find(before));
}

TEST_F(EmbeddingCacheTest, ADamagedEntryIsMadeAnew) {
  const PairEmbeddings expected = cached();
  ASSERT_EQ(entries().size(), 1U);
  const std::filesystem::path path = entries()[0];
  const std::string whole = read_file(path);
  size_t damaged = 0;
  for (size_t at = 0; at < whole.size(); at += 101) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    write_file(path, changed);
    const auto found = cache_.find(key());
    damaged += !found;
    if (found) expect_near(*found, expected, 0);  // white space of the header
  }
  EXPECT_GT(damaged, whole.size() / 101 * 9 / 10);
  for (const size_t length : {size_t{0}, size_t{7}, size_t{200}, whole.size() - 1}) {
    write_file(path, whole.substr(0, length));
    EXPECT_FALSE(cache_.find(key()));
  }
  expect_near(cached(), expected, 0);
  EXPECT_EQ(read_file(path), whole);
  EXPECT_FALSE(cache_.find("another key"));
}

TEST_F(EmbeddingCacheTest, AnEntryUnderTheNameOfAnotherKeyIsNotTakenForIt) {
  cached();
  const std::filesystem::path path = entries()[0];
  const std::string whole = read_file(path);
  cached({.max_tokens = 30});
  const std::vector<std::filesystem::path> both = entries();
  write_file(both[0] == path ? both[1] : both[0], whole);
  EXPECT_FALSE(cache_.find(key({.max_tokens = 30})));
  EXPECT_TRUE(cache_.find(key()));
}

TEST_F(EmbeddingCacheTest, WhatWasUsedLongestAgoMakesRoom) {
  const PairEmbeddings some = embedded({});
  cache_.store("a", some);
  const uint64_t bytes = std::filesystem::file_size(entries()[0]);
  const std::string mine = (cache_.folder() / "embeddings-of-mine.safetensors").string();
  write_file(mine, std::string(100000, 'x'));
  const EmbeddingCache small(cache_.folder(), 2 * bytes + bytes / 2);
  const auto earlier = [&](const std::filesystem::path& path, int hours) {
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(hours));
  };
  for (const auto& path : entries()) earlier(path, 9);
  small.store("b", some);
  for (const auto& path : entries()) earlier(path, 5);
  EXPECT_TRUE(small.find("a"));  // used now, so that b is the one to go
  small.store("c", some);
  EXPECT_TRUE(small.find("a"));
  EXPECT_FALSE(small.find("b"));
  EXPECT_TRUE(small.find("c"));
  EXPECT_TRUE(std::filesystem::exists(mine));
}

TEST_F(EmbeddingCacheTest, AFolderThatCannotBeWrittenCostsNothingElse) {
  write_file(folder_ / "file", "in the way");
  const CacheOfModel blocked(EmbeddingCache(folder_ / "file" / "cache"), *model_);
  expect_near(embed_cached(blocked, model_, at::kCPU, data_, letters_, {}), embedded({}), 0);
}

}  // namespace
}  // namespace capture
