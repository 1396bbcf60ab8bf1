// Other views of a photo, for training. Labels are not looked at.
#pragma once

#include <cstdint>

#include "capture/base/fields.h"
#include "capture/tensor/random.h"
#include "capture/vision/image.h"

namespace capture {

/// A view is a part of the photo, perhaps mirrored, in another light.
struct ViewOptions {
  int64_t count = 0;
  double min_area = 0.45;
  double aspect = 0.2;
  double mirror = 0.5;
  double brightness = 0.2;
  double tint = 0.06;
  int64_t seed = 1;

  void visit(FieldVisitor& f);
};

/// The photo's part and light are drawn from `random`.
Image augment(const Image& image, const ViewOptions& options, RandomStream& random);

}  // namespace capture
