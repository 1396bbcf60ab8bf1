// The writer: refuses what no reader should meet, and leaves whole files or none.
#include "capture/data/shard_writer.h"

#include <c10/util/Half.h>
#include <sys/resource.h>

#include <csignal>
#include <limits>
#include <thread>

#include "support.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ShardWriter, NamesTheSampleItRefusesAndGoesOn) {
  const TemporaryFolder folder;
  const ShardLayout layout = small_layout();
  ShardWriter writer(folder / "a.capshard", layout);
  const auto refused = [&](const std::function<void(Sample&)>& change) {
    Sample sample = make_sample(layout, 50);
    change(sample);
    return error_of([&] { writer.add(sample); });
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  writer.add(make_sample(layout, 1));
  EXPECT_THAT(refused([](Sample& s) { s.id = ""; }), HasSubstr("empty id"));
  EXPECT_THAT(refused([](Sample& s) { s.id = "item-1"; }), HasSubstr("sample \"item-1\": was added before"));
  EXPECT_THAT(refused([](Sample& s) { s.titles.clear(); }), HasSubstr("sample \"item-50\": has no title"));
  EXPECT_THAT(refused([](Sample& s) { s.labels = {""}; }), HasSubstr("label that is empty"));
  EXPECT_THAT(refused([](Sample& s) { s.thumbnail = "GIF"; }), HasSubstr("not JPEG"));
  EXPECT_THAT(refused([](Sample& s) { s.views.clear(); }), HasSubstr("has 0 views; allowed: 1 to 2"));
  EXPECT_THAT(refused([](Sample& s) { s.views.resize(3, s.views[0]); }), HasSubstr("has 3 views"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0] = {.image_width = 9, .image_height = 9}; }),
              HasSubstr("has 0 regions"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0].boxes.resize(24); }), HasSubstr("has 6 regions; allowed: 1 to 5"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0].boxes.push_back(1); }), HasSubstr("4 a region"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0].features.pop_back(); }), HasSubstr("10 a region"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0].classes.clear(); }), HasSubstr("3 a region"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0].image_width = 0; }), HasSubstr("image of 0 by"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0].boxes[0] = -2; }), HasSubstr("region 0"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0].boxes[2] = 642; }), HasSubstr("in an image of 640 by"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0].boxes[3] = s.views[0].boxes[1] - 1; }), HasSubstr("has the box"));
  EXPECT_THAT(refused([&](Sample& s) { s.views[0].boxes[1] = nan; }), HasSubstr("has the box"));
  EXPECT_THAT(refused([&](Sample& s) { s.views[0].features[3] = nan; }), HasSubstr("(number 3) that is not a number"));
  EXPECT_THAT(refused([](Sample& s) { s.views[0].features[4] = 70000; }), HasSubstr("beyond the range of float16"));
  EXPECT_THAT(refused([&](Sample& s) { s.views[0].classes[1] = nan; }), HasSubstr("class value (number 1)"));
  EXPECT_EQ(writer.size(), 1);
  writer.add(make_sample(layout, 2));
  writer.finish();

  // What was refused left no trace.
  ShardWriter other(folder / "b.capshard", layout);
  other.add(make_sample(layout, 1));
  other.add(make_sample(layout, 2));
  other.finish();
  EXPECT_EQ(read_file(folder / "a.capshard"), read_file(folder / "b.capshard"));
}

TEST(ShardWriter, TakesUtf8Alone) {
  const TemporaryFolder folder;
  ShardWriter writer(folder / "a.capshard", small_layout());
  int64_t number = 0;
  const auto message = [&](const std::string& title) {
    Sample sample = make_sample(small_layout(), number++);
    sample.titles = {title};
    return error_of([&] { writer.add(sample); });
  };
  for (const char* good :
       {"", "plain", "é", "小米", "\U0001F600", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"}) {
    EXPECT_EQ(message(good), "") << good;
  }
  EXPECT_EQ(message(std::string("zero\0byte", 9)), "");
  // Stray and missing continuation bytes, overlong forms, surrogates, and what lies past U+10FFFF.
  for (const char* bad : {"\x80", "\xC3", "\xC3(", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xE5\xB0", "\xED\xA0\x80",
                          "\xF0\x80\x80\x80", "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_THAT(message(bad), HasSubstr("title that is not UTF-8")) << bad;
  }
}

TEST(ShardWriter, RoundsEveryNumberToTheNearestFloat16) {
  const TemporaryFolder folder;
  constexpr int64_t kWidth = 4099;
  const ShardLayout layout{.feature_width = kWidth, .max_regions = 1};
  RandomStream random(3, 1, 4);
  Regions regions{.image_width = 1, .image_height = 1, .boxes = {0, 0, 1, 1}};
  for (int64_t i = 0; i < kWidth; ++i) {
    const float magnitude = std::ldexp(1.0F + random.uniform(), static_cast<int>(random.below(42)) - 27);
    regions.features.push_back(random.below(2) == 0 ? magnitude : -magnitude);
  }
  ShardWriter writer(folder / "a.capshard", layout);
  writer.add({.id = "x", .titles = {""}, .views = {regions}});
  writer.finish();
  std::vector<float> found(kWidth);
  Shard(folder / "a.capshard").sample(0).regions().copy_features(found.data());
  for (size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], static_cast<float>(c10::Half(regions.features[i])));
}

TEST(ShardWriter, RefusesLayoutsOutOfRangeAndOtherNames) {
  const TemporaryFolder folder;
  const auto refused = [&](ShardLayout layout, const char* name = "a.capshard") {
    return error_of([&] { ShardWriter(folder / name, layout); });
  };
  EXPECT_THAT(refused({}), HasSubstr("feature_width is 0"));
  EXPECT_THAT(refused({.feature_width = 65537}), HasSubstr("feature_width is 65537"));
  EXPECT_THAT(refused({.feature_width = 1, .max_regions = 0}), HasSubstr("max_regions"));
  EXPECT_THAT(refused({.feature_width = 1, .max_views = 257}), HasSubstr("max_views"));
  EXPECT_THAT(refused({.feature_width = 1, .class_count = -1}), HasSubstr("class_count"));
  EXPECT_THAT(refused({.feature_width = 1}, "a.bin"), HasSubstr("ends in .capshard"));
  EXPECT_THAT(refused({.feature_width = 1}, "none/a.capshard"), HasSubstr("cannot create the file"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(ShardWriter, LeavesNothingBehindWithoutFinishing) {
  const TemporaryFolder folder;
  {
    ShardWriter writer(folder / "a.capshard", small_layout());
    writer.add(make_sample(small_layout(), 0));
  }
  EXPECT_THAT(folder.names(), IsEmpty());
  EXPECT_THAT(error_of([&] { ShardWriter(folder / "a.capshard", small_layout()).finish(); }),
              HasSubstr("there is no sample to write"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(ShardWriter, KeepsWhatTwoWritersOfOneNameWroteApart) {
  const TemporaryFolder folder;
  write_samples(folder / "first.capshard", small_layout(), 300);
  write_samples(folder / "second.capshard", small_layout(), 200, 300);
  {
    const auto write = [&](int64_t count, int64_t first) {
      write_samples(folder / "a.capshard", small_layout(), count, first);
    };
    const std::jthread one([&] { write(300, 0); });
    const std::jthread two([&] { write(200, 300); });
  }
  const std::string found = read_file(folder / "a.capshard");
  EXPECT_TRUE(found == read_file(folder / "first.capshard") || found == read_file(folder / "second.capshard"));
  EXPECT_EQ(folder.names().size(), 3U);
}

TEST(ShardWriter, LeavesTheOldFileWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  write_samples(folder / "a.capshard", small_layout(), 3);
  const std::string before = read_file(folder / "a.capshard");
  rlimit whole{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &whole), 0);
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  // The limit stands for a full disk at the header, among the records, and at the very end.
  write_samples(folder / "size.capshard", small_layout(), 400);
  const auto bytes = static_cast<rlim_t>(std::filesystem::file_size(folder / "size.capshard"));
  std::filesystem::remove(folder / "size.capshard");
  for (const rlim_t limit : {rlim_t{100}, rlim_t{70000}, bytes - 8}) {
    const rlimit full{limit, whole.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
    const std::string message = error_of([&] { write_samples(folder / "a.capshard", small_layout(), 400); });
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &whole), 0);
    EXPECT_THAT(message, HasSubstr("a.capshard: cannot write the file")) << limit;
    EXPECT_THAT(folder.names(), ElementsAre("a.capshard"));
    EXPECT_EQ(read_file(folder / "a.capshard"), before);
  }
  std::signal(SIGXFSZ, previous);
}

}  // namespace
}  // namespace capture
