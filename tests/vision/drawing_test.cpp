#include "capture/vision/drawing.h"

#include <gtest/gtest.h>

namespace capture {
namespace {

Image grey(int width, int height) {
  Image image{.width = width, .height = height, .bgr = {}, .full_width = width, .full_height = height};
  image.bgr.assign(static_cast<size_t>(width * height * 3), 128);
  return image;
}

bool is_grey(const Image& image, int x, int y) {
  const uint8_t* pixel = &image.bgr[static_cast<size_t>(y * image.width + x) * 3];
  return pixel[0] == 128 && pixel[1] == 128 && pixel[2] == 128;
}

TEST(DrawBoxes, OutlinesEachBoxWhereItLiesInTheFullPhoto) {
  // A quarter of the full size, enlarged to 640 by 320: full coordinates times 0.4.
  const Image drawn = draw_boxes(grey(400, 200), {{400, 200, 1200, 600}}, 1600, 800);
  EXPECT_EQ(drawn.width, 640);
  EXPECT_EQ(drawn.height, 320);
  EXPECT_FALSE(is_grey(drawn, 160, 150));  // left
  EXPECT_FALSE(is_grey(drawn, 479, 150));  // right
  EXPECT_FALSE(is_grey(drawn, 300, 80));   // top
  EXPECT_FALSE(is_grey(drawn, 300, 239));  // bottom
  EXPECT_TRUE(is_grey(drawn, 300, 160));   // inside
  EXPECT_TRUE(is_grey(drawn, 100, 160));   // outside
}

TEST(DrawBoxes, StaysInsideThePicture) {
  const Image drawn = draw_boxes(grey(700, 10), {{-1, -1, 701, 11}, {699, 9, 700, 10}}, 700, 10);
  EXPECT_EQ(drawn.width, 700);
  EXPECT_EQ(drawn.height, 10);
  EXPECT_FALSE(is_grey(drawn, 350, 0));
}

}  // namespace
}  // namespace capture
