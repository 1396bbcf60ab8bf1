// Shards: what is written comes back, and no damage goes unnoticed or leads outside the file.
#include "capture/data/shard.h"

#include <array>
#include <cstring>
#include <fstream>
#include <limits>

#include "support.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Without the sync of write_file, because tests write many files.
void overwrite(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void set_byte(const std::filesystem::path& path, size_t at, char value) {
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out).seekp(static_cast<std::streamoff>(at)).put(value);
}

std::vector<std::string> problems_of(const std::filesystem::path& path) {
  std::vector<std::string> problems;
  Shard(path).verify([&](const std::string& problem) { problems.push_back(problem); });
  return problems;
}

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

TEST(Shard, NoticesTheFileCutShortAnywhere) {
  const TemporaryFolder folder;
  write_samples(folder / "a.capshard", layout_with_ids(FeatureType::int8), 3);
  const std::string whole = read_file(folder / "a.capshard");
  for (size_t length = 0; length < whole.size(); length += length < 200 ? 1 : 37) {
    overwrite(folder / "cut.capshard", whole.substr(0, length));
    EXPECT_THAT(error_of([&] { Shard{folder / "cut.capshard"}; }), HasSubstr("cut.capshard: is ")) << length;
  }
  overwrite(folder / "long.capshard", whole + std::string(8, '\0'));
  EXPECT_THAT(error_of([&] { Shard{folder / "long.capshard"}; }), HasSubstr("is cut short or damaged"));
}

/// Looks at everything that a reader can look at.
void read_everything(const Shard& shard) {
  std::vector<float> features;
  for (int64_t i = 0; i < shard.size(); ++i) {
    const SampleView sample = shard.sample(i);
    sample.titles();
    sample.labels();
    for (int64_t v = 0; v < sample.view_count(); ++v) {
      const RegionsView regions = sample.regions(v);
      features.resize(static_cast<size_t>(regions.count * regions.feature_width));
      regions.copy_features(features.data());
    }
  }
}

TEST(Shard, NoticesEveryFlippedByte) {
  const TemporaryFolder folder;
  write_samples(folder / "a.capshard", layout_with_ids(FeatureType::int8), 3);
  const std::string whole = read_file(folder / "a.capshard");
  for (size_t at = 0; at < whole.size(); ++at) {
    set_byte(folder / "a.capshard", at,
             static_cast<char>(whole[at] ^ (at % 3 == 0   ? 0x01
                                            : at % 3 == 1 ? 0x80
                                                          : 0xFF)));
    const std::string refused = error_of([&] {
      EXPECT_THAT(problems_of(folder / "a.capshard"), Not(IsEmpty())) << at;
      read_everything(Shard(folder / "a.capshard"));
    });
    if (at < 4096) {
      EXPECT_THAT(refused, HasSubstr("a.capshard: is ")) << at;
    }
    set_byte(folder / "a.capshard", at, whole[at]);
  }
}

/// Puts `value` at `offset` of record 1 and mends the checksums, as a hostile writer would.
void forge_record(const std::filesystem::path& path, size_t offset, uint32_t value) {
  std::string bytes = read_file(path);
  const ShardHeader header = Shard(path).header();
  std::memcpy(&bytes[static_cast<size_t>(header.records_at + header.record_bytes) + offset], &value, sizeof value);
  overwrite(path, bytes);
}

TEST(Shard, RefusesTokenIdsThatNoVocabularyHas) {
  const TemporaryFolder folder;
  ShardLayout layout = small_layout();
  layout.tokenizer = {.fingerprint = "f", .vocabulary_size = 1000};
  Sample sample = make_sample(layout, 1);
  sample.token_ids[0] = {999};
  ShardWriter writer(folder / "a.capshard", layout);
  writer.add(sample);
  writer.finish();
  const std::string whole = read_file(folder / "a.capshard");
  const size_t blobs_at = static_cast<size_t>(Shard(folder / "a.capshard").header().blobs_at);
  const size_t ids_at = blobs_at + sample.id.size() + 4 + sample.titles[0].size();
  const auto refused = [&](size_t at, char value) {
    std::string bytes = whole;
    bytes[at] = value;
    overwrite(folder / "b.capshard", bytes);
    return error_of([&] { Shard(folder / "b.capshard").sample(0); });
  };
  EXPECT_THAT(refused(ids_at + 4, '\xE8'), HasSubstr("has the token id 1000; allowed: 0 to 999"));
  EXPECT_THAT(refused(ids_at, 1), HasSubstr("do not add up"));
  EXPECT_THAT(refused(ids_at, 3), HasSubstr("do not add up"));
}

TEST(Shard, RefusesRecordsThatPointElsewhere) {
  const TemporaryFolder folder;
  // Offsets inside a record, see docs/shards.md.
  const std::vector<std::pair<size_t, const char*>> fields = {{0, "points outside"},
                                                              {4, "points outside"},
                                                              {8, "points outside"},
                                                              {12, "points outside"},
                                                              {16, "points outside"},
                                                              {20, "points outside"},
                                                              {24, "do not add up"},
                                                              {28, "claims 4294967295 views"},
                                                              {32, "without pixels"},
                                                              {36, "without pixels"},
                                                              {40, "claims 4294967295 regions"}};
  for (const auto& [offset, message] : fields) {
    write_samples(folder / "a.capshard", small_layout(), 3);
    forge_record(folder / "a.capshard", offset, offset == 32 || offset == 36 ? 0 : 0xFFFFFFFF);
    const Shard shard(folder / "a.capshard");
    EXPECT_EQ(shard.sample(0).id(), "item-0");
    EXPECT_THAT(error_of([&] { shard.sample(1); }),
                testing::AllOf(HasSubstr("a.capshard, sample 1: "), HasSubstr(message)))
        << offset;
    EXPECT_EQ(shard.sample(2).id(), "item-2");
  }
}

/// Rewrites a header's JSON with `change`, checksum included.
template <class Change>
void forge_header(const std::filesystem::path& path, const Change& change) {
  std::string bytes = read_file(path);
  uint64_t length = 0;
  std::memcpy(&length, &bytes[8], sizeof length);
  Json json = Json::parse(bytes.substr(32, length));
  change(json);
  std::string text = json.dump();
  text.resize(length, ' ');
  const uint64_t digest = checksum(text);
  bytes.replace(32, length, text);
  std::memcpy(&bytes[16], &digest, sizeof digest);
  overwrite(path, bytes);
}

TEST(Shard, RefusesHeadersThatContradictTheFile) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::function<void(Json&)>& change) {
    write_samples(folder / "a.capshard", small_layout(), 20);
    forge_header(folder / "a.capshard", change);
    return error_of([&] { Shard{folder / "a.capshard"}; });
  };
  EXPECT_EQ(refused([](Json&) {}), "");
  EXPECT_THAT(refused([](Json& h) { h["samples"] = int64_t{1} << 61; }), HasSubstr("more than fit"));
  EXPECT_THAT(refused([](Json& h) { h["samples"] = 2; }), HasSubstr("do not follow"));
  EXPECT_THAT(refused([](Json& h) { h["samples"] = 0; }), HasSubstr("samples is 0"));
  EXPECT_THAT(refused([](Json& h) { h["samples"] = 2.5; }), HasSubstr("samples is 2.5"));
  EXPECT_THAT(refused([](Json& h) { h["layout"]["feature_width"] = 100; }), HasSubstr("records have"));
  EXPECT_THAT(refused([](Json& h) { h["layout"]["feature_width"] = int64_t{1} << 40; }), HasSubstr("feature_width"));
  EXPECT_THAT(refused([](Json& h) { h["layout"]["feature_type"] = "int4"; }), HasSubstr("float16, float32"));
  EXPECT_THAT(refused([](Json& h) { h["layout"]["tokenizer"]["vocabulary_size"] = 9; }), HasSubstr("fingerprint is"));
  EXPECT_THAT(refused([](Json& h) { h["records_at"] = int64_t{1} << 60; }), HasSubstr("do not begin behind"));
  EXPECT_THAT(refused([](Json& h) { h["records_at"] = 8192; }), HasSubstr("do not begin behind"));
  EXPECT_THAT(refused([](Json& h) { h["blobs_at"] = 4096; }), HasSubstr("do not follow"));
  EXPECT_THAT(refused([](Json& h) { h["checksums_at"] = int64_t{1} << 60; }), HasSubstr("do not follow"));
  EXPECT_THAT(refused([](Json& h) { h["checksum_block_bytes"] = 4096; }), HasSubstr("table of checksums"));
  EXPECT_THAT(refused([](Json& h) { h["checksum_block_bytes"] = 0; }), HasSubstr("checksum_block_bytes"));
  EXPECT_THAT(refused([](Json& h) { h["version"] = 2; }), HasSubstr("version 2; allowed: version 1"));
  EXPECT_THAT(refused([](Json& h) { h["version"] = "one"; }), HasSubstr("version \"one\""));
  EXPECT_THAT(refused([](Json& h) { h.erase("format"); }), HasSubstr("not a shard's"));
  EXPECT_THAT(refused([](Json& h) { h = Json::array({1}); }), HasSubstr("not a shard's"));
}

TEST(Shard, VerifyNamesTheSampleThatBreaksAnInvariant) {
  const TemporaryFolder folder;
  const ShardLayout layout = small_layout(FeatureType::float32);
  write_samples(folder / "a.capshard", layout, 3);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::string bytes = read_file(folder / "a.capshard");
  const ShardHeader header = Shard(folder / "a.capshard").header();
  const auto record_at = static_cast<size_t>(header.records_at + header.record_bytes);
  constexpr size_t features_at = 384;  // heads 64, boxes 160, classes 120, each part aligned to 64
  std::memcpy(&bytes[record_at + features_at + 8], &nan, sizeof nan);
  overwrite(folder / "a.capshard", bytes);
  const auto problems = problems_of(folder / "a.capshard");
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_THAT(problems[0], HasSubstr("bytes 4096 to 6751 (samples 0 to 2, texts and thumbnails) do not match"));
  EXPECT_THAT(
      problems[1],
      HasSubstr("sample 1 (\"item-1\"): region 0 of view 0 has a feature value (number 2) that is not a number"));
}

TEST(Shard, VerifyHoldsTheTableOfChecksumsAgainstTheHeader) {
  const TemporaryFolder folder;
  write_samples(folder / "a.capshard", small_layout(), 3);
  forge_header(folder / "a.capshard", [](Json& h) { h["checksums_checksum"] = "0123456789abcdef"; });
  EXPECT_THAT(problems_of(folder / "a.capshard"),
              ElementsAre(HasSubstr("the table of checksums, bytes 5984 to 5991, does not match its own checksum")));
}

TEST(Shard, IsNoFolderAndNoOtherFile) {
  const TemporaryFolder folder;
  overwrite(folder / "a.capshard", "PNG and then some more bytes, enough of them to look at");
  EXPECT_THAT(error_of([&] { Shard{folder / "a.capshard"}; }), HasSubstr("is not a shard"));
  EXPECT_THAT(error_of([&] { Shard{folder.path()}; }), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { Shard{folder / "none.capshard"}; }), HasSubstr("No such file"));
}

}  // namespace
}  // namespace capture
