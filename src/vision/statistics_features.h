// Region features from statistics of colour, edges and texture.
#pragma once

#include <memory>

#include "capture/vision/region_features.h"

namespace capture {

/// `width` 0 keeps the statistics as they are. See project() for other widths.
std::unique_ptr<RegionFeatures> make_statistics_features(const StatisticsOptions& options, int64_t width);

}  // namespace capture
