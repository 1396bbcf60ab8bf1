// Region features from statistics of colour, edges and texture.
#pragma once

#include <memory>

#include "capture/vision/region_features.h"

namespace capture {

std::unique_ptr<RegionFeatures> make_statistics_features();

}  // namespace capture
