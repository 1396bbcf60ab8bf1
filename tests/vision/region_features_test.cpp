// What a region's numbers must hold, whatever the photo, and what any width and scaling makes of them.
#include "capture/vision/region_features.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <numeric>

#include "capture/vision/feature_scaling.h"
#include "pictures.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

std::vector<Box> whole(const Image& image) {
  return {{0, 0, static_cast<float>(image.width), static_cast<float>(image.height)}};
}

std::vector<float> feature_of(const Image& image) {
  return make_region_features({})->compute(image, whole(image));
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  const double ab = std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  const double aa = std::inner_product(a.begin(), a.end(), a.begin(), 0.0);
  return ab / std::sqrt(aa * std::inner_product(b.begin(), b.end(), b.begin(), 0.0));
}

TEST(StatisticsFeatures, AreFiniteForEveryPhoto) {
  const auto features = make_region_features({});
  for (const Image& image : {card(1, 1), card(1, 1000), card(1000, 1), blank(50, 50), blank(50, 50, {0, 0, 0}),
                             noise(300, 200), card(144, 144)}) {
    const std::vector<Box> boxes = propose_regions(image, {});
    const std::vector<float> values = features->compute(image, boxes);
    ASSERT_EQ(values.size(), boxes.size() * static_cast<size_t>(features->width()));
    for (const float value : values) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST(StatisticsFeatures, GiveTheSameBytesAgain) {
  const Image image = noise(200, 100);
  EXPECT_EQ(feature_of(image), feature_of(image));
}

TEST(StatisticsFeatures, HardlyChangeWithThePhotosSize) {
  const Image image = noise(288, 288);
  const Image small = shrink(image, 144);
  EXPECT_GT(cosine(feature_of(image), feature_of(small)), 0.99);
  EXPECT_LT(cosine(feature_of(image), feature_of(noise(288, 288, 2))), 0.97);
}

TEST(StatisticsFeatures, ARegionIsDescribedByItsOwnPixelsOnly) {
  Image left = noise(288, 144, 1);
  Image changed = left;
  // The right part changes; a margin of some pixels is left for the filters.
  const Image other = noise(288, 144, 2);
  for (int y = 0; y < 144; ++y) {
    for (int x = 216; x < 288; ++x) paint(changed, x, y, x + 1, y + 1, pixel(other, x, y));
  }
  const auto features = make_region_features({});
  const std::vector<Box> half = {{0, 0, 96, 144}};
  const std::vector<float> before = features->compute(left, half);
  const std::vector<float> after = features->compute(changed, half);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(before[i], after[i], 1e-4);
  EXPECT_LT(cosine(feature_of(left), feature_of(changed)), 0.9999);
}

TEST(RegionFeatures, TakeEveryWidth) {
  const Image image = noise(100, 80);
  const int64_t native = make_region_features({})->width();
  const std::vector<float> plain = feature_of(image);
  for (const int64_t width : {int64_t{1}, int64_t{7}, native - 1, native, native + 1, int64_t{2048}}) {
    const auto features = make_region_features({.width = width});
    EXPECT_EQ(features->width(), width);
    const std::vector<float> values = features->compute(image, propose_regions(image, {}));
    EXPECT_EQ(values.size(), 30 * static_cast<size_t>(width));
    if (width < native) continue;
    EXPECT_TRUE(std::equal(plain.begin(), plain.end(), values.begin()));
    for (size_t i = plain.size(); i < static_cast<size_t>(width); ++i) EXPECT_EQ(values[i], 0);
  }
}

class ScaledFeatures : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(options_.scaling); }

  FeatureOptions options_ = {.scaling = std::filesystem::temp_directory_path() /
                                        ("capture_scaled_" + std::to_string(::getpid()))};
};

TEST_F(ScaledFeatures, AreStandardisedBeforeTheirWidthChanges) {
  const Image image = noise(100, 80);
  const std::vector<float> plain = feature_of(image);
  FeatureScaling scaling{.mean = std::vector<float>(plain.size(), 0.25F),
                         .scale = std::vector<float>(plain.size(), 2.0F),
                         .features = features_fingerprint(options_)};
  write_scaling(options_.scaling, scaling);
  options_.width = static_cast<int64_t>(plain.size()) + 3;
  const std::vector<float> scaled = make_region_features(options_)->compute(image, whole(image));
  for (size_t i = 0; i < plain.size(); ++i) ASSERT_EQ(scaled[i], (plain[i] - 0.25F) * 2);
  EXPECT_EQ(scaled.back(), 0);
}

TEST_F(ScaledFeatures, KeepTheStrongestDirectionsOrFillWithZeros) {
  const Image image = noise(100, 80);
  const std::vector<float> plain = feature_of(image);
  constexpr int64_t kDirections = 10;
  FeatureScaling scaling{.mean = std::vector<float>(plain.size(), 0.25F),
                         .scale = std::vector<float>(plain.size(), 1.0F),
                         .features = features_fingerprint(options_),
                         .directions = std::vector<float>(plain.size() * kDirections)};
  // Direction j is twice number j.
  for (size_t j = 0; j < kDirections; ++j) scaling.directions[j * kDirections + j] = 2;
  write_scaling(options_.scaling, scaling);
  for (const int64_t width : {int64_t{0}, int64_t{4}, kDirections, int64_t{15}}) {
    options_.width = width;
    const std::vector<float> values = make_region_features(options_)->compute(image, whole(image));
    ASSERT_EQ(std::ssize(values), width == 0 ? kDirections : width);
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_FLOAT_EQ(values[i], i < kDirections ? (plain[i] - 0.25F) * 2 : 0);
    }
  }
}

TEST_F(ScaledFeatures, RefuseAScalingOfOtherFeatures) {
  const auto width = static_cast<size_t>(make_region_features({})->width());
  const auto refusal_with = [&](size_t fitted_width, const std::string& fingerprint) -> std::string {
    write_scaling(options_.scaling, {.mean = std::vector<float>(fitted_width),
                                     .scale = std::vector<float>(fitted_width, 1.0F),
                                     .features = fingerprint});
    try {
      make_region_features(options_);
    } catch (const UserError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_EQ(refusal_with(width, features_fingerprint(options_)), "");
  EXPECT_THAT(refusal_with(width, "another"), HasSubstr("another kind"));
  EXPECT_THAT(refusal_with(width - 1, features_fingerprint(options_)), HasSubstr("another kind"));
}

}  // namespace
}  // namespace capture
