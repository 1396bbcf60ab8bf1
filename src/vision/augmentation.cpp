#include "capture/vision/augmentation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <opencv2/core.hpp>

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

}  // namespace capture
