// More photos from the ones there are, for training: other views of a photo, and several photos on one canvas. Neither
// looks at labels.
#pragma once

#include <cstdint>
#include <span>

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

/// Canvases that show two or three photos side by side, as a photo of several products would.
struct CompositeOptions {
  int64_t count = 0;
  int64_t side = 224;
  int64_t seed = 1;

  void visit(FieldVisitor& f);
};

/// A square canvas of `side` pixels, tiled by 2 or 3 photos, each cropped to its tile's shape and perhaps mirrored; the
/// tiles' layout is drawn from `random`.
Image compose(std::span<const Image> photos, int64_t side, RandomStream& random);

}  // namespace capture
