#include "capture/data/synth.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "../../src/data/synth_layers.h"
#include "capture/data/shard.h"
#include "capture/text/tokenizer.h"
#include "support.h"

namespace capture {
namespace {

constexpr std::array<SynthPart, 3> kParts = {SynthPart::train, SynthPart::gallery, SynthPart::queries};

/// Small enough to draw thousands of samples from.
SynthOptions small_world() {
  return {.products = 295, .regions = 2, .feature_width = 4, .vocabulary_size = 2000, .seed = 1};
}

bool equal(const Sample& a, const Sample& b) {
  const Regions& left = a.views.at(0);
  const Regions& right = b.views.at(0);
  return a.id == b.id && a.titles == b.titles && a.labels == b.labels && left.boxes == right.boxes &&
         left.features == right.features && left.image_width == right.image_width &&
         left.image_height == right.image_height;
}

std::string brand_of(const std::string& label) {
  return label.substr(0, label.find(' '));
}

std::vector<float> mean_feature(const Sample& sample, int64_t width) {
  const std::vector<float>& features = sample.views.at(0).features;
  std::vector<float> mean(static_cast<size_t>(width));
  for (size_t i = 0; i < features.size(); ++i) mean[i % mean.size()] += features[i];
  return mean;
}

double correlation(const std::vector<float>& a, const std::vector<float>& b) {
  const auto mean = [](const std::vector<float>& x) {
    return std::accumulate(x.begin(), x.end(), 0.0) / std::ssize(x);
  };
  const double mean_a = mean(a);
  const double mean_b = mean(b);
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return ab / std::sqrt(aa * bb);
}

TEST(Synth, ASampleDependsOnOptionsPartAndIndexAlone) {
  const SynthWorld world(small_world());
  const SynthWorld same(small_world());
  SynthOptions other_options = small_world();
  other_options.seed = 2;
  const SynthWorld other(other_options);
  for (const SynthPart part : kParts) {
    for (const int64_t index : {7, 0, 300, 7}) {
      EXPECT_TRUE(equal(world.sample(part, index), same.sample(part, index)));
      EXPECT_FALSE(equal(world.sample(part, index), other.sample(part, index)));
    }
  }
}

TEST(Synth, GivesSamplesThatAShardTakes) {
  TemporaryFolder folder;
  const SynthOptions options{.products = 60, .regions = 9, .feature_width = 70, .vocabulary_size = 500, .seed = 3};
  const SynthWorld world(options);
  ShardWriter writer(folder / "all.capshard", {.feature_width = 70, .max_regions = 9});
  for (const SynthPart part : kParts) {
    for (int64_t i = 0; i < 100; ++i) writer.add(world.sample(part, i));
  }
  writer.finish();
  const Shard shard(folder / "all.capshard");
  EXPECT_EQ(shard.size(), 300);
  shard.verify([](const std::string& problem) { ADD_FAILURE() << problem; });
  for (int64_t i = 0; i < shard.size(); ++i) EXPECT_EQ(shard.sample(i).regions().count, 9);
}

TEST(Synth, TitlesAreAsLongAsRealOnesAndTheVocabularyKnowsEveryWord) {
  TemporaryFolder folder;
  const SynthWorld world(small_world());
  write_file(folder / "vocab.txt", world.vocabulary());
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer({.file = folder / "vocab.txt"});
  EXPECT_EQ(tokenizer->vocabulary_size(), 2000);
  constexpr int64_t kTitles = 3000;
  size_t tokens = 0;
  for (int64_t i = 0; i < kTitles; ++i) {
    const std::vector<int32_t> ids = encode_with_specials(*tokenizer, world.sample(SynthPart::train, i).titles.at(0));
    EXPECT_THAT(ids, testing::Each(testing::Ne(tokenizer->specials().unknown)));
    EXPECT_THAT(ids.size(), testing::AllOf(testing::Ge(7U), testing::Le(36U)));
    tokens += ids.size();
  }
  // The dev list's titles have 27.7 tokens on average.
  EXPECT_NEAR(static_cast<double>(tokens) / kTitles, 27.7, 0.3);
}

TEST(Synth, QueriesAreLabelledLikeTheRealList) {
  const SynthWorld world(small_world());
  constexpr int64_t kQueries = 6000;
  std::map<std::string, int64_t> listed;
  std::map<size_t, int64_t> sizes;
  int64_t with_repeats = 0;
  for (int64_t i = 0; i < kQueries; ++i) {
    const std::vector<std::string> labels = world.sample(SynthPart::queries, i).labels;
    ++sizes[labels.size()];
    with_repeats += std::ssize(std::set<std::string>(labels.begin(), labels.end())) < std::ssize(labels) ? 1 : 0;
    for (const std::string& label : labels) {
      ++listed[label];
      EXPECT_EQ(brand_of(label), brand_of(labels[0]));
    }
  }
  EXPECT_EQ(sizes.rbegin()->first, 12U);
  const auto share = [&](int64_t count) { return static_cast<double>(count) / kQueries; };
  EXPECT_NEAR(share(sizes[1]), 53.0 / 2673, 0.01);
  EXPECT_NEAR(share(sizes[2]), 1213.0 / 2673, 0.03);
  EXPECT_NEAR(share(sizes[3]), 926.0 / 2673, 0.03);
  EXPECT_NEAR(share(with_repeats), 376.0 / 2673, 0.03);

  // On the dev list, the first tenth of the 295 labels is listed 43 % of all times, the first third 80 %, and the last
  // half 9 %.
  std::vector<double> counts;
  for (const auto& [label, count] : listed) counts.push_back(static_cast<double>(count));
  EXPECT_GT(counts.size(), 280U);
  counts.resize(295);
  std::ranges::sort(counts, std::greater());
  const auto sum = [&](int64_t first, int64_t last) {
    return std::accumulate(counts.begin() + first, counts.begin() + last, 0.0);
  };
  EXPECT_NEAR(sum(0, 30) / sum(0, 295), 0.43, 0.03);
  EXPECT_NEAR(sum(0, 98) / sum(0, 295), 0.80, 0.03);
  EXPECT_NEAR(sum(147, 295) / sum(0, 295), 0.09, 0.02);
}

TEST(Synth, TheGalleryHasEveryLabelAndTrainingPairsHaveNone) {
  const SynthWorld world(small_world());
  std::set<std::string> labels;
  for (int64_t i = 0; i < 400; ++i) {
    const Sample item = world.sample(SynthPart::gallery, i);
    ASSERT_EQ(item.labels.size(), 1U);
    labels.insert(item.labels[0]);
    EXPECT_EQ(std::ssize(labels), std::min<int64_t>(i + 1, 295));
  }
  for (int64_t i = 0; i < 200; ++i) {
    EXPECT_THAT(world.sample(SynthPart::train, i).labels, testing::IsEmpty());
    for (const std::string& label : world.sample(SynthPart::queries, i).labels) EXPECT_TRUE(labels.contains(label));
  }
}

TEST(Synth, PhotosOfOneProductHaveInCommonWhatTheirScenesHide) {
  constexpr int64_t kWidth = 256;
  constexpr int64_t kProducts = 3;
  const SynthWorld world(
      {.products = kProducts, .regions = 12, .feature_width = kWidth, .vocabulary_size = 1000, .seed = 5});
  // Scenes differ from photo to photo, so that they leave the mean over many.
  std::map<std::string, std::array<std::vector<float>, 2>> halves;
  for (int64_t i = 0; i < 1200; ++i) {
    const Sample item = world.sample(SynthPart::gallery, i);
    std::vector<float>& sum = halves[item.labels[0]][static_cast<size_t>(i / kProducts % 2)];
    sum.resize(kWidth);
    const std::vector<float> mean = mean_feature(item, kWidth);
    std::ranges::transform(sum, mean, sum.begin(), std::plus());
  }
  ASSERT_EQ(halves.size(), static_cast<size_t>(kProducts));
  for (const auto& [label, mine] : halves) {
    const double same = correlation(mine[0], mine[1]);
    for (const auto& [other, theirs] : halves) {
      if (other == label) continue;
      EXPECT_LT(correlation(mine[0], theirs[1]), same) << label << " and " << other;
    }
  }
}

TEST(Synth, AddsLayersAsOneNumberAtATimeWould) {
  RandomStream random(9, 0, 0);
  const auto draw = [&](size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = random.uniform() * 2 - 1;
    return values;
  };
  for (size_t width = 1; width < 140; ++width) {
    const std::vector<std::vector<float>> patterns = {draw(width), draw(width), draw(width)};
    const std::vector<synth::Layer> layers = {
        {patterns[0].data(), 0.7F}, {patterns[1].data(), -0.3F}, {patterns[2].data(), 1.9F}};
    for (const bool positive : {false, true}) {
      const std::vector<float> start = draw(width);
      std::vector<float> found = start;
      synth::add_layers(layers, positive, found);
      for (size_t i = 0; i < width; ++i) {
        volatile float sum = start[i];  // every step rounded by itself
        for (const synth::Layer& layer : layers) {
          const volatile float part = layer.amount * layer.values[i];
          sum = sum + part;
        }
        EXPECT_EQ(found[i], positive ? std::max(0.0F, static_cast<float>(sum)) : static_cast<float>(sum));
        EXPECT_FALSE(positive && std::signbit(found[i]));
      }
    }
  }
}

TEST(Synth, ASeedGivesTheSameWorldForEver) {
  // Whoever changes this changes what every seed gives.
  const SynthWorld world({.products = 50, .regions = 7, .feature_width = 90, .vocabulary_size = 500, .seed = 11});
  std::string bytes;
  for (const SynthPart part : kParts) {
    for (const int64_t index : {0, 3, 999}) {
      const Sample sample = world.sample(part, index);
      bytes += sample.titles[0];
      const std::vector<float>& features = sample.views[0].features;
      bytes.append(reinterpret_cast<const char*>(features.data()), features.size() * sizeof(float));
    }
  }
  EXPECT_EQ(to_hex(checksum(bytes)), "b9fae5956a674fd6");
}

TEST(Synth, NamesNeverRunOutUnnoticed) {
  EXPECT_THAT(error_of([] { SynthWorld({.products = 300, .vocabulary_size = 64}); }),
              testing::AllOf(testing::HasSubstr("vocabulary_size"), testing::HasSubstr("too few for 300 products")));
  // The smallest vocabulary that is allowed gives every product a label of its own.
  const SynthWorld world({.products = 80, .regions = 1, .feature_width = 1, .vocabulary_size = 64});
  std::set<std::string> labels;
  for (int64_t i = 0; i < 80; ++i) labels.insert(world.sample(SynthPart::gallery, i).labels[0]);
  EXPECT_EQ(labels.size(), 80U);
  EXPECT_THAT(error_of([] { SynthWorld({.products = 0}); }), testing::HasSubstr("products"));
}

}  // namespace
}  // namespace capture
