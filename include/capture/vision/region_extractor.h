// A photo in, regions with features out: what an importer runs on every photo.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "capture/base/fields.h"
#include "capture/vision/augmentation.h"
#include "capture/vision/image.h"
#include "capture/vision/proposals.h"
#include "capture/vision/region_features.h"

namespace capture {

struct ThumbnailOptions {
  int64_t longest_side = 192;
  int64_t quality = 80;

  void visit(FieldVisitor& f);
};

struct VisionOptions {
  ImageOptions image;
  ProposalOptions proposals;
  FeatureOptions features;
  ViewOptions views;
  ThumbnailOptions thumbnail;

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

/// The regions of one photo, or of one view of it.
struct ImageRegions {
  int64_t width = 0;            ///< of the upright photo, pixels
  int64_t height = 0;           ///< of the upright photo, pixels
  std::vector<Box> boxes;       ///< n boxes in the photo's own pixels
  std::vector<float> features;  ///< [n × feature_width()]
};

struct ExtractedImage {
  std::vector<ImageRegions> views;   ///< the photo itself, then views.count views of it
  std::vector<std::byte> thumbnail;  ///< JPEG; empty when thumbnail.longest_side is 0
};

/// Thread-safe: workers share one extractor. The same file gives the same bytes whatever else runs.
class RegionExtractor {
 public:
  /// UserError when a TorchScript backbone cannot be loaded or does not fit the options.
  explicit RegionExtractor(const VisionOptions& options);

  int64_t feature_width() const { return features_->width(); }
  /// The most boxes that a photo can get.
  int64_t max_regions() const { return most_regions(options_.proposals); }

  /// Equal for extractors that give equal regions for every photo: a digest of the options, of the files that they name
  /// and of the code's own version. Views do not enter: they are photos like any other.
  const std::string& fingerprint() const { return fingerprint_; }
  const VisionOptions& options() const { return options_; }

  /// UserError, naming the path, when the photo is refused (see read_image).
  Image read(const std::filesystem::path& path) const { return read_image(path, options_.image); }
  /// `id` fixes the views that are drawn.
  ExtractedImage extract(const Image& image, const std::string& id) const;

 private:
  ImageRegions regions(const Image& image) const;

  VisionOptions options_;
  std::unique_ptr<RegionFeatures> features_;
  std::string fingerprint_;
};

}  // namespace capture
