// Regions drawn on their photo, for people.
#pragma once

#include <vector>

#include "capture/vision/image.h"
#include "capture/vision/proposals.h"

namespace capture {

/// `photo` with an outline around every box and, beside it, the box's number. `boxes` are in pixels of a photo of
/// `full_width` by `full_height`; `photo` may be smaller, and is enlarged until its longest side has 640 pixels at
/// least, so that numbers can be read.
Image draw_boxes(const Image& photo, const std::vector<Box>& boxes, int64_t full_width, int64_t full_height);

}  // namespace capture
