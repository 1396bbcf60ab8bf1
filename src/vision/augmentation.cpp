#include "capture/vision/augmentation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "matrix.h"

namespace capture {

namespace {

double between(double low, double high, RandomStream& random) {
  return low + (high - low) * static_cast<double>(random.uniform());
}

/// A window of `length` pixels somewhere on a side of `side` pixels.
int place(int side, int length, RandomStream& random) {
  return static_cast<int>(random.below(static_cast<uint32_t>(side - length + 1)));
}

/// `photo` cropped to the tile's shape around a point near its middle, and scaled to fill it.
cv::Mat fill(const cv::Mat& photo, cv::Size tile, RandomStream& random) {
  const double scale =
      std::min(static_cast<double>(photo.cols) / tile.width, static_cast<double>(photo.rows) / tile.height);
  const cv::Size crop(std::clamp(static_cast<int>(std::lround(tile.width * scale)), 1, photo.cols),
                      std::clamp(static_cast<int>(std::lround(tile.height * scale)), 1, photo.rows));
  const cv::Point corner(static_cast<int>((photo.cols - crop.width) * between(0.2, 0.8, random)),
                         static_cast<int>((photo.rows - crop.height) * between(0.2, 0.8, random)));
  cv::Mat filled;
  cv::resize(photo(cv::Rect(corner, crop)), filled, tile, 0, 0, cv::INTER_AREA);
  return filled;
}

/// Two tiles side by side, or one beside two that share the other part; mirrored and turned at random.
std::vector<cv::Rect> tiles(size_t count, int side, RandomStream& random) {
  const int first = static_cast<int>(side * between(0.35, 0.65, random));
  const int second = static_cast<int>(side * between(0.35, 0.65, random));
  std::vector<cv::Rect> tiles = {{0, 0, first, side}};
  if (count == 2) {
    tiles.emplace_back(first, 0, side - first, side);
  } else {
    tiles.emplace_back(first, 0, side - first, second);
    tiles.emplace_back(first, second, side - first, side - second);
  }
  const bool mirrored = random.below(2) == 0;
  const bool turned = random.below(2) == 0;
  for (cv::Rect& tile : tiles) {
    if (mirrored) tile.x = side - tile.x - tile.width;
    if (turned) tile = {tile.y, tile.x, tile.height, tile.width};
  }
  return tiles;
}

}  // namespace

void ViewOptions::visit(FieldVisitor& f) {
  f.field("count", count, "Further views stored with each photo; a loader draws among them.", {0, 64});
  f.field("min_area", min_area, "Least share of the photo that a view shows.", {0.01, 1.0});
  f.field("aspect", aspect, "Greatest change of shape, as the logarithm of width over height.", {0.0, 2.0});
  f.field("mirror", mirror, "How probably a view is mirrored.", {0.0, 1.0});
  f.field("brightness", brightness, "Greatest change of brightness, as a share.", {0.0, 1.0});
  f.field("tint", tint, "Greatest change of each colour channel, as a share.", {0.0, 1.0});
  f.field("seed", seed, "Of the draws; with it and the photo's id a view is fixed.",
          {0, std::numeric_limits<int64_t>::max()});
}

void CompositeOptions::visit(FieldVisitor& f) {
  f.field("count", count, "Canvases of two or three photos of the list, their titles joined by \" and \".",
          {0, 10000000});
  f.field("side", side, "Pixels of a canvas's sides.", {16, 4096});
  f.field("seed", seed, "Of the draws.", {0, std::numeric_limits<int64_t>::max()});
}

Image augment(const Image& image, const ViewOptions& options, RandomStream& random) {
  const double side = std::sqrt(between(options.min_area, 1.0, random));
  const double stretch = std::exp(between(-options.aspect, options.aspect, random));
  const int width = std::clamp(static_cast<int>(image.width * side * stretch), 1, image.width);
  const int height = std::clamp(static_cast<int>(image.height * side / stretch), 1, image.height);
  const int x = place(image.width, width, random);
  const int y = place(image.height, height, random);
  cv::Mat view = as_matrix(image)({x, y, width, height}).clone();
  if (random.uniform() < static_cast<float>(options.mirror)) cv::flip(view, view, 1);

  const double brightness = between(1 - options.brightness, 1 + options.brightness, random);
  cv::Scalar gains;
  for (int c = 0; c < 3; ++c) gains[c] = brightness * between(1 - options.tint, 1 + options.tint, random);
  cv::multiply(view, gains, view);
  return from_matrix(view);
}

Image compose(std::span<const Image> photos, int64_t side, RandomStream& random) {
  const std::vector<cv::Rect> layout = tiles(photos.size(), static_cast<int>(side), random);
  cv::Mat canvas(static_cast<int>(side), static_cast<int>(side), CV_8UC3);
  for (size_t i = 0; i < layout.size(); ++i) {
    cv::Mat tile = fill(as_matrix(photos[i]), layout[i].size(), random);
    if (random.below(2) == 0) cv::flip(tile, tile, 1);
    tile.copyTo(canvas(layout[i]));
  }
  return from_matrix(canvas);
}

}  // namespace capture
