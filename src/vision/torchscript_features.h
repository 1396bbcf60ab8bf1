// Region features from a backbone that the user brings.
#pragma once

#include <memory>

#include "capture/vision/region_features.h"

namespace capture {

/// `width` 0 takes the backbone's own channel count; the backbone runs once here on a blank picture to find it out.
/// UserError when the file is no TorchScript, does not take [1, 3, H, W], does not give [1, C, h, w], or C is not
/// `width`.
std::unique_ptr<RegionFeatures> make_torchscript_features(const TorchScriptOptions& options, int64_t width);

}  // namespace capture
