#include "capture/data/dataset.h"

#include "capture/data/shard_index.h"
#include "support.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

TEST(Dataset, NumbersSamplesThroughItsShardsByName) {
  const TemporaryFolder folder;
  write_samples(folder / "b.capshard", small_layout(), 4, 3);
  write_samples(folder / "a.capshard", small_layout(), 3);
  write_file(folder / "notes.txt", "not a shard");
  const Dataset dataset(folder.path());
  ASSERT_EQ(dataset.size(), 7);
  for (int64_t i = 0; i < dataset.size(); ++i) EXPECT_EQ(dataset.sample(i).id(), "item-" + std::to_string(i));
  EXPECT_EQ(dataset.feature_width(), 10);
  EXPECT_EQ(dataset.max_regions(), 5);
  EXPECT_EQ(dataset.max_views(), 2);
  EXPECT_TRUE(dataset.has_classes());
  EXPECT_EQ(dataset.where(5), (folder / "b.capshard").string() + ", sample 2");

  const Dataset listed({folder / "b.capshard", folder / "a.capshard"});
  EXPECT_EQ(listed.sample(0).id(), "item-3");
  EXPECT_EQ(listed.sample(4).id(), "item-0");
}

TEST(Dataset, HasAFingerprintOfItsContent) {
  const TemporaryFolder folder;
  write_samples(folder / "a.capshard", small_layout(), 3);
  write_samples(folder / "b.capshard", small_layout(), 3);
  write_samples(folder / "c.capshard", small_layout(), 3, 1);
  const auto fingerprint = [&](const char* name) { return Dataset(folder / name).fingerprint(); };
  EXPECT_EQ(fingerprint("a.capshard"), fingerprint("b.capshard"));
  EXPECT_NE(fingerprint("a.capshard"), fingerprint("c.capshard"));
}

TEST(Dataset, JoinsShardsWhoseSlotsDiffer) {
  const TemporaryFolder folder;
  const ShardLayout narrow{
      .feature_width = 10, .max_regions = 2, .class_count = 3, .feature_type = FeatureType::float32};
  write_samples(folder / "a.capshard", narrow, 2);
  write_samples(folder / "b.capshard", small_layout(), 2, 2);
  const Dataset dataset(folder.path());
  EXPECT_EQ(dataset.max_regions(), 5);
  EXPECT_EQ(dataset.max_views(), 2);
}

TEST(Dataset, KnowsWhoseTokenIdsItHolds) {
  const TemporaryFolder folder;
  ShardLayout other = layout_with_ids();
  other.tokenizer.fingerprint = "others";
  write_samples(folder / "a.capshard", layout_with_ids(), 2);
  write_samples(folder / "b.capshard", layout_with_ids(FeatureType::int8), 2, 2);
  write_samples(folder / "c.capshard", other, 2, 4);
  write_samples(folder / "d.capshard", small_layout(), 2, 6);
  const auto fingerprint = [&](const std::vector<std::filesystem::path>& paths) {
    return Dataset(paths).tokenizer_fingerprint();
  };
  EXPECT_EQ(fingerprint({folder / "a.capshard", folder / "b.capshard"}), "letters");
  EXPECT_EQ(fingerprint({folder / "a.capshard", folder / "c.capshard"}), "");
  EXPECT_EQ(fingerprint({folder / "a.capshard", folder / "d.capshard"}), "");
  EXPECT_EQ(fingerprint({folder / "d.capshard"}), "");
}

TEST(Dataset, CopiesStoredSamplesWholeForAnotherShard) {
  const TemporaryFolder folder;
  for (const FeatureType type : {FeatureType::float16, FeatureType::float32, FeatureType::int8}) {
    const ShardLayout layout = layout_with_ids(type);
    write_samples(folder / "a.capshard", layout, 5);
    const Dataset dataset(folder / "a.capshard");
    ShardWriter writer(folder / "b.capshard", layout, {{"made by", "a test"}});
    for (int64_t i = 0; i < 5; ++i) writer.add(encode(layout, dataset.sample(i)));
    writer.finish();
    EXPECT_TRUE(read_file(folder / "a.capshard") == read_file(folder / "b.capshard")) << name_of(type);
  }
}

TEST(Dataset, NamesWhatItCannotRead) {
  const TemporaryFolder folder;
  const auto refused = [](const std::vector<std::filesystem::path>& paths) {
    return error_of([&] { Dataset{paths}; });
  };
  EXPECT_THAT(refused({}), HasSubstr("at least one shard"));
  EXPECT_THAT(refused({folder / "none"}), HasSubstr("none: there is no such file or folder"));
  EXPECT_THAT(refused({folder.path()}), HasSubstr("the folder holds no shard"));
  for (const char* part : {"train", "gallery"}) {
    make_folder(folder / part);
    write_shard_index(folder / part, {});
  }
  EXPECT_THAT(refused({folder.path()}), HasSubstr("name a folder in it that does: gallery, train"));
  write_samples(folder / "a.capshard", small_layout(), 2);
  ShardLayout other = small_layout();
  other.feature_width = 11;
  write_samples(folder / "b.capshard", other, 2);
  EXPECT_THAT(refused({folder.path()}), HasSubstr("b.capshard: has the feature width 11, but "));
  other = small_layout();
  other.class_count = 0;
  write_samples(folder / "b.capshard", other, 2);
  EXPECT_THAT(refused({folder.path()}), HasSubstr("b.capshard: has the class count 0, but "));
}

}  // namespace
}  // namespace capture
