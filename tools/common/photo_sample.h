// What the vision room sees in a photo, as the data room stores it.
#pragma once

#include <utility>

#include "capture/data/sample.h"
#include "capture/vision/region_extractor.h"

namespace capture {

inline Regions to_regions(ImageRegions&& image) {
  Regions regions{.image_width = image.width,
                  .image_height = image.height,
                  .boxes = {},
                  .features = std::move(image.features),
                  .classes = {}};
  for (const Box& box : image.boxes) regions.boxes.insert(regions.boxes.end(), {box.x1, box.y1, box.x2, box.y2});
  return regions;
}

}  // namespace capture
