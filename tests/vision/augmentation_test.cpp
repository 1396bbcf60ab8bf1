// Views are parts of the photo they come from, and fixed by their draws.
#include "capture/vision/augmentation.h"

#include <gtest/gtest.h>

#include <set>

#include "pictures.h"

namespace capture {
namespace {

ViewOptions without_light() {
  ViewOptions options;
  options.brightness = 0;
  options.tint = 0;
  return options;
}

TEST(Augment, ShowsAPartOfThePhoto) {
  Image image = blank(60, 40);
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < 60; ++x) paint(image, x, y, x + 1, y + 1, {4 * x, 6 * y, 0});
  }
  for (uint64_t seed = 0; seed < 50; ++seed) {
    RandomStream random(seed, 0, 0);
    ViewOptions options = without_light();
    options.mirror = seed % 2 == 0 ? 1 : 0;
    const Image view = augment(image, options, random);
    EXPECT_EQ(view.full_width, view.width);
    EXPECT_GE(view.width * view.height, 0.4 * 60 * 40);
    const int step = seed % 2 == 0 ? -4 : 4;
    const Bgr corner = pixel(view, 0, 0);
    for (int y = 0; y < view.height; ++y) {
      for (int x = 0; x < view.width; ++x) {
        ASSERT_EQ(pixel(view, x, y), (Bgr{corner[0] + step * x, corner[1] + 6 * y, 0}));
      }
    }
  }
}

TEST(Augment, ChangesTheLightWithinItsBounds) {
  std::set<int> seen;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    RandomStream random(seed, 0, 0);
    const Bgr light = pixel(augment(blank(20, 20, {100, 100, 100}), {}, random), 0, 0);
    for (const int value : light) {
      EXPECT_GE(value, 75);
      EXPECT_LE(value, 128);
      seen.insert(value);
    }
  }
  EXPECT_GT(seen.size(), 20U);
}

TEST(Augment, IsFixedByItsDraws) {
  const Image image = noise(50, 60);
  RandomStream first(5, 1, 2);
  RandomStream again(5, 1, 2);
  RandomStream other(5, 2, 2);
  const Image view = augment(image, {}, first);
  EXPECT_EQ(augment(image, {}, again).bgr, view.bgr);
  EXPECT_NE(augment(image, {}, other).bgr, view.bgr);
}

TEST(Augment, TakesPhotosOfOnePixel) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    RandomStream random(seed, 0, 0);
    EXPECT_EQ(augment(card(1, 1), {}, random).width, 1);
    RandomStream again(seed, 0, 0);
    EXPECT_EQ(augment(card(1, 500), {}, again).width, 1);
  }
}

}  // namespace
}  // namespace capture
