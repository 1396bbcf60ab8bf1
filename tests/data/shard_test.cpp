// Shards: what is written comes back.
#include "capture/data/shard.h"

#include <array>
#include <limits>

#include "support.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void expect_equal(const Regions& expected, const RegionsView& found) {
  EXPECT_EQ(found.image_width, expected.image_width);
  EXPECT_EQ(found.image_height, expected.image_height);
  ASSERT_EQ(found.count, expected.count());
  EXPECT_EQ(std::vector<float>(found.boxes.begin(), found.boxes.end()), expected.boxes);
  std::vector<float> features(expected.features.size());
  found.copy_features(features.data());
  if (found.feature_type != FeatureType::int8) {
    EXPECT_EQ(features, expected.features);
  }
  std::vector<float> sums(static_cast<size_t>(found.feature_width), 1.0F);
  std::vector<float> one(sums.size());
  for (int64_t r = 0; r < found.count; ++r) {
    const size_t start = static_cast<size_t>(r * found.feature_width);
    found.copy_feature_and_add(r, one.data(), sums.data());
    EXPECT_EQ(one, std::vector<float>(&features[start], &features[start] + one.size()));
    std::vector<float> classes(static_cast<size_t>(found.class_count));
    found.copy_classes(r, classes.data());
    const auto begin = expected.classes.begin() + r * found.class_count;
    EXPECT_EQ(classes, std::vector<float>(begin, begin + found.class_count));
  }
  for (size_t k = 0; k < sums.size(); ++k) {
    float sum = 1.0F;
    for (int64_t r = 0; r < found.count; ++r) sum += features[static_cast<size_t>(r) * sums.size() + k];
    EXPECT_EQ(sums[k], sum);
  }
}

class ShardRoundTrip : public ::testing::TestWithParam<FeatureType> {};

TEST_P(ShardRoundTrip, GivesBackEverySample) {
  const TemporaryFolder folder;
  const ShardLayout layout = layout_with_ids(GetParam());
  write_samples(folder / "a.capshard", layout, 40);
  EXPECT_THAT(folder.names(), ElementsAre("a.capshard"));

  const Shard shard(folder / "a.capshard");
  EXPECT_EQ(shard.header().layout, layout);
  EXPECT_EQ(shard.origin(), (Json{{"made by", "a test"}}));
  ASSERT_EQ(shard.size(), 40);
  for (int64_t i = 0; i < shard.size(); ++i) {
    const Sample expected = make_sample(layout, i);
    const SampleView found = shard.sample(i);
    EXPECT_EQ(found.id(), expected.id);
    EXPECT_EQ(found.title(), expected.titles[0]);
    const auto titles = found.titles();
    EXPECT_EQ(std::vector<std::string>(titles.begin(), titles.end()), expected.titles);
    const auto labels = found.labels();
    EXPECT_EQ(std::vector<std::string>(labels.begin(), labels.end()), expected.labels);
    const auto jpeg = found.thumbnail();
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(jpeg.data()), jpeg.size()), expected.thumbnail);
    ASSERT_EQ(found.view_count(), static_cast<int64_t>(expected.views.size()));
    for (int64_t v = 0; v < found.view_count(); ++v) {
      expect_equal(expected.views[static_cast<size_t>(v)], found.regions(v));
    }
  }
  EXPECT_THAT(problems_of(folder / "a.capshard"), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Types, ShardRoundTrip,
                         ::testing::Values(FeatureType::float16, FeatureType::float32, FeatureType::int8),
                         [](const auto& type) { return name_of(type.param); });

TEST(Shard, HasTheSameBytesForTheSameSamples) {
  const TemporaryFolder folder;
  write_samples(folder / "a.capshard", small_layout(), 9);
  write_samples(folder / "b.capshard", small_layout(), 9);
  EXPECT_EQ(read_file(folder / "a.capshard"), read_file(folder / "b.capshard"));
}

TEST(Shard, ReadsAndWritesVersion1AsItWasFixed) {
  const TemporaryFolder folder;
  const auto fixed = [](const char* name) { return std::filesystem::path(CAPTURE_TEST_DATA) / "data/shards" / name; };
  const auto check = [&](const char* name, const ShardLayout& layout) {
    write_samples(folder / "now.capshard", layout, 3);
    EXPECT_TRUE(read_file(folder / "now.capshard") == read_file(fixed(name))) << name;
    EXPECT_THAT(problems_of(fixed(name)), IsEmpty());
  };
  check("version_1.capshard", small_layout());
  check("version_1_int8.capshard", layout_with_ids(FeatureType::int8));
}

TEST(Shard, GivesBackTokenIdsOfEveryTitle) {
  const TemporaryFolder folder;
  // The widest vocabulary of two bytes an id, and one past it.
  for (const int64_t vocabulary_size : {65536, 65537}) {
    ShardLayout layout = small_layout();
    layout.tokenizer = {.fingerprint = "f", .vocabulary_size = vocabulary_size};
    Sample sample = make_sample(layout, 3);
    const std::vector<std::vector<int32_t>> ids = {{0, 7, static_cast<int32_t>(vocabulary_size - 1)}, {}};
    sample.token_ids = ids;
    ShardWriter writer(folder / "a.capshard", layout);
    writer.add(sample);
    sample.id = "other";
    sample.token_ids[0][0] = static_cast<int32_t>(vocabulary_size);
    EXPECT_THAT(error_of([&] { writer.add(sample); }),
                HasSubstr("has the token id " + std::to_string(vocabulary_size)));
    sample.token_ids[0][0] = -1;
    EXPECT_THAT(error_of([&] { writer.add(sample); }), HasSubstr("has the token id -1; allowed: 0 to"));
    sample.token_ids.pop_back();
    EXPECT_THAT(error_of([&] { writer.add(sample); }), HasSubstr("token ids for 1 titles; allowed: 2"));
    writer.finish();

    const Shard shard(folder / "a.capshard");
    EXPECT_EQ(shard.header().layout, layout);
    const SampleView found = shard.sample(0);
    EXPECT_EQ(found.titles().size(), 2U);
    for (int64_t title = 0; title < 2; ++title) {
      const TokenIds stored = *found.token_ids(title);
      std::vector<int32_t> all;
      stored.append_to(all);
      EXPECT_EQ(all, ids[static_cast<size_t>(title)]);
      EXPECT_EQ(stored.size(), std::ssize(all));
    }
    std::vector<int32_t> first = {9};
    found.token_ids(0)->append_to(first, 2);
    EXPECT_THAT(first, ElementsAre(9, 0, 7));
    EXPECT_THAT(problems_of(folder / "a.capshard"), IsEmpty());
  }
  write_samples(folder / "b.capshard", small_layout(), 1);
  EXPECT_FALSE(Shard(folder / "b.capshard").sample(0).token_ids().has_value());
}

TEST(Shard, RoundsInt8WithinHalfAStepOfEachRegion) {
  const TemporaryFolder folder;
  constexpr int64_t kWidth = 1003;
  const ShardLayout layout{.feature_width = kWidth, .max_regions = 4, .feature_type = FeatureType::int8};
  RandomStream random(3, 1, 4);
  Regions regions{.image_width = 9, .image_height = 9, .boxes = {0, 0, 1, 1, 0, 0, 2, 2, 0, 0, 3, 3, 0, 0, 4, 4}};
  for (int64_t i = 0; i < 4 * kWidth; ++i) {
    // A region of zeros, and one whose scale is too small to be told from 0.
    const float size = std::array{1.0F, 1e30F, 0.0F, 1e-45F}[static_cast<size_t>(i / kWidth)];
    regions.features.push_back(size * (random.uniform() - 0.5F));
  }
  ShardWriter writer(folder / "a.capshard", layout);
  writer.add({.id = "x", .titles = {""}, .views = {regions}});
  writer.finish();
  const Shard shard(folder / "a.capshard");
  const RegionsView found = shard.sample(0).regions();
  std::vector<float> values(regions.features.size());
  found.copy_features(values.data());
  std::vector<float> row(kWidth);
  for (int64_t r = 0; r < 4; ++r) {
    std::vector<float> sum(kWidth, 2.0F);
    found.copy_feature_and_add(r, row.data(), sum.data());
    const auto start = static_cast<size_t>(r * kWidth);
    float largest = 0;
    for (size_t i = 0; i < row.size(); ++i) largest = std::max(largest, std::abs(regions.features[start + i]));
    EXPECT_EQ(found.scales[static_cast<size_t>(r)], largest / 127);
    for (size_t i = 0; i < row.size(); ++i) {
      EXPECT_EQ(row[i], values[start + i]);
      EXPECT_EQ(sum[i], 2.0F + row[i]);
      EXPECT_LE(std::abs(row[i] - regions.features[start + i]), largest / 127 * 0.5001F + 1e-44F);
    }
  }
  regions.features[kWidth + 5] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(error_of([&] { encode(layout, {.id = "y", .titles = {""}, .views = {regions}}); }),
              HasSubstr("sample \"y\": region 1 has a feature value (number 5) that is infinite"));
}

TEST(Shard, RoundsInt8TiesToEven) {
  const ShardLayout layout{.feature_width = 6, .max_regions = 1, .feature_type = FeatureType::int8};
  Regions regions{.image_width = 1, .image_height = 1, .boxes = {0, 0, 1, 1}};
  regions.features = {127, 0.5F, 1.5F, -2.5F, -126.6F, 0.49F};
  const EncodedSample encoded = encode(layout, {.id = "x", .titles = {""}, .views = {regions}});
  const auto* const values = reinterpret_cast<const int8_t*>(encoded.record.data() + 128);
  EXPECT_THAT(std::vector<int>(values, values + 6), ElementsAre(127, 0, 2, -2, -127, 0));
}

TEST(Shard, RoundsToFloat16AsIeee754Says) {
  const TemporaryFolder folder;
  const ShardLayout layout{.feature_width = 12, .max_regions = 1};
  Sample sample{.id = "x", .titles = {""}};
  Regions regions{.image_width = 1, .image_height = 1, .boxes = {0, 0, 1, 1}};
  // Ties go to even; 2^-24 is the smallest subnormal. Twelve values: eight at once, and four one by one.
  regions.features = {0.1F,           -0.1F, 1.0F, 2049.0F, 2051.0F,   65504.0F,
                      5.9604645e-08F, 0.0F,  0.1F, 2049.0F, -65504.0F, 1e-9F};
  sample.views = {regions};
  ShardWriter writer(folder / "a.capshard", layout);
  writer.add(sample);
  writer.finish();
  std::vector<float> found(12);
  Shard(folder / "a.capshard").sample(0).regions().copy_features(found.data());
  EXPECT_THAT(found, ElementsAre(0.0999755859375F, -0.0999755859375F, 1.0F, 2048.0F, 2052.0F, 65504.0F, 5.9604645e-08F,
                                 0.0F, 0.0999755859375F, 2048.0F, -65504.0F, 0.0F));
}

TEST(Shard, NamesTheNumberThatIsNotFinite) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const FeatureType type : {FeatureType::float16, FeatureType::float32, FeatureType::int8}) {
    const ShardLayout layout = small_layout(type);
    for (size_t at = 0; at < 20; ++at) {
      Sample sample = make_sample(layout, 1);
      RandomStream random(1, 0, 0);
      sample.views = {make_regions(layout, random, 2)};
      sample.views[0].features[at] = at % 2 == 0 ? kNan : -kInfinity;
      const std::string place = "region " + std::to_string(at / 10) + " has a feature value (number " +
                                std::to_string(at % 10) + ") that is " + (at % 2 == 0 ? "not a number" : "infinite");
      EXPECT_THAT(error_of([&] { encode(layout, sample); }), HasSubstr(place));
    }
    Sample sample = make_sample(layout, 1);
    sample.views[0].classes[2] = kNan;
    EXPECT_THAT(error_of([&] { encode(layout, sample); }), HasSubstr("has a class value (number 2) that is not a num"));
  }
}

}  // namespace
}  // namespace capture
