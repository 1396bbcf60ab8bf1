#include "capture/vision/region_features.h"

#include "statistics_features.h"
#include "torchscript_features.h"

namespace capture {

void StatisticsOptions::visit(FieldVisitor& f) {
  f.field("seed", seed, "Of the random projection, where features.width is less than the number of statistics.",
          {0, std::numeric_limits<int64_t>::max()});
}

void FeatureOptions::visit(FieldVisitor& f) {
  f.choice("kind", kind, "Statistics need no weights; torchscript runs a backbone of yours.",
           {{"statistics", FeatureKind::statistics}, {"torchscript", FeatureKind::torchscript}});
  f.field("width", width, "Numbers a region; 0 keeps what the features have by themselves.", {0, 65536});
  f.section("statistics", statistics, "Colour, edge and texture statistics.");
  f.section("torchscript", torchscript, "A backbone whose feature map is pooled over each region.");
}

std::unique_ptr<RegionFeatures> make_region_features(const FeatureOptions& options) {
  return options.kind == FeatureKind::torchscript ? make_torchscript_features(options.torchscript, options.width)
                                                  : make_statistics_features(options.statistics, options.width);
}

}  // namespace capture
