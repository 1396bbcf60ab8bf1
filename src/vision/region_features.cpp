// Builds features in layers: what is measured, its scaling, its width.
#include "capture/vision/region_features.h"

#include <limits>
#include <utility>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/vision/feature_scaling.h"
#include "projection.h"
#include "statistics_features.h"
#include "torchscript_features.h"

namespace capture {

namespace {

/// To be raised by every change that changes a feature.
constexpr int kCodeVersion = 1;

class ScaledFeatures final : public RegionFeatures {
 public:
  ScaledFeatures(std::unique_ptr<RegionFeatures> inner, FeatureScaling scaling)
      : inner_(std::move(inner)), scaling_(std::move(scaling)) {}

  int64_t width() const override { return scaling_.scaled_width(); }

  std::vector<float> compute(const Image& image, std::span<const Box> boxes) const override {
    return scaling_.apply(inner_->compute(image, boxes));
  }

 private:
  std::unique_ptr<RegionFeatures> inner_;
  FeatureScaling scaling_;
};

class ProjectedFeatures final : public RegionFeatures {
 public:
  ProjectedFeatures(std::unique_ptr<RegionFeatures> inner, int64_t width, int64_t seed)
      : inner_(std::move(inner)), projection_(inner_->width(), width, seed) {}

  int64_t width() const override { return projection_.width(); }

  std::vector<float> compute(const Image& image, std::span<const Box> boxes) const override {
    const std::vector<float> from = inner_->compute(image, boxes);
    const auto from_width = static_cast<size_t>(inner_->width());
    const auto width = static_cast<size_t>(projection_.width());
    std::vector<float> features(boxes.size() * width);
    for (size_t i = 0; i < boxes.size(); ++i) {
      projection_.apply(std::span(from).subspan(i * from_width, from_width),
                        std::span(features).subspan(i * width, width));
    }
    return features;
  }

 private:
  std::unique_ptr<RegionFeatures> inner_;
  Projection projection_;
};

std::unique_ptr<RegionFeatures> with_scaling(std::unique_ptr<RegionFeatures> features, const FeatureOptions& options) {
  FeatureScaling scaling = read_scaling(options.scaling);
  if (scaling.width() != features->width() || scaling.features != features_fingerprint(options)) {
    throw UserError({.what = "was fitted on features of another kind or version",
                     .where = options.scaling,
                     .hint = "import the training photos again with --fit-scaling"});
  }
  if (options.width > 0 && options.width < scaling.scaled_width()) scaling.keep_directions(options.width);
  return std::make_unique<ScaledFeatures>(std::move(features), std::move(scaling));
}

}  // namespace

void FeatureOptions::visit(FieldVisitor& f) {
  f.choice("kind", kind, "Statistics (colour, edges, texture) need no weights; torchscript runs a backbone of yours.",
           {{"statistics", FeatureKind::statistics}, {"torchscript", FeatureKind::torchscript}});
  f.field("scaling", scaling, "A file made by import-images --fit-scaling: features are standardised by it.");
  f.field("width", width,
          "Numbers a region; 0: as many as there are. More: zeros behind them. Less: the strongest directions of a "
          "scaling that whitens, else a random projection.",
          {0, 65536});
  f.field("projection_seed", projection_seed, "Of the random projection.", {0, std::numeric_limits<int64_t>::max()});
  f.section("torchscript", torchscript, "A backbone whose feature map is pooled over each region.");
}

std::string features_fingerprint(const FeatureOptions& options) {
  Json parts = Json::object();
  parts["code"] = kCodeVersion;
  parts["kind"] = to_json(options)["kind"];
  if (options.kind == FeatureKind::torchscript) {
    parts["torchscript"] = to_json(options.torchscript);
    parts["torchscript"].erase("device");
    parts["torchscript"]["file"] = to_hex(checksum(MappedFile(options.torchscript.file).bytes()));
  }
  return to_hex(checksum(to_line(parts)));
}

std::unique_ptr<RegionFeatures> make_region_features(const FeatureOptions& options) {
  const bool backbone = options.kind == FeatureKind::torchscript;
  const bool scaled = !options.scaling.empty();
  std::unique_ptr<RegionFeatures> features =
      backbone ? make_torchscript_features(options.torchscript, scaled ? 0 : options.width)
               : make_statistics_features();
  if (scaled) features = with_scaling(std::move(features), options);
  if (options.width == 0 || options.width == features->width()) return features;
  return std::make_unique<ProjectedFeatures>(std::move(features), options.width, options.projection_seed);
}

}  // namespace capture
