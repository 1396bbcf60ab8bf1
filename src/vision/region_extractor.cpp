#include "capture/vision/region_extractor.h"

#include <algorithm>
#include <opencv2/core.hpp>

#include "capture/base/config.h"
#include "capture/base/files.h"

namespace capture {

namespace {

/// To be raised by every change that changes a box or how photos are read.
constexpr int kCodeVersion = 1;

std::string make_fingerprint(const VisionOptions& options) {
  Json parts = Json::object();
  parts["code"] = kCodeVersion;
  parts["longest_side"] = options.image.longest_side;
  parts["proposals"] = to_json(options.proposals);
  parts["features"] = features_fingerprint(options.features);
  parts["width"] = options.features.width;
  parts["projection_seed"] = options.features.projection_seed;
  if (!options.features.scaling.empty()) {
    parts["scaling"] = to_hex(checksum(MappedFile(options.features.scaling).bytes()));
  }
  return to_hex(checksum(to_line(parts)));
}

/// Boxes of the working image in the full photo's pixels.
std::vector<Box> in_full_size(std::vector<Box> boxes, const Image& image) {
  const float x = static_cast<float>(image.full_width) / static_cast<float>(image.width);
  const float y = static_cast<float>(image.full_height) / static_cast<float>(image.height);
  const auto scaled = [](float at, float scale, int limit) { return std::min(at * scale, static_cast<float>(limit)); };
  for (Box& box : boxes) {
    box = {scaled(box.x1, x, image.full_width), scaled(box.y1, y, image.full_height),
           scaled(box.x2, x, image.full_width), scaled(box.y2, y, image.full_height)};
  }
  return boxes;
}

}  // namespace

void ThumbnailOptions::visit(FieldVisitor& f) {
  f.field("longest_side", longest_side, "Pixels of a thumbnail's longest side; 0 stores none.", {0, 1024});
  f.field("quality", quality, "JPEG quality.", {1, 100});
}

void VisionOptions::visit(FieldVisitor& f) {
  f.section("image", image, "How photos are read.");
  f.section("proposals", proposals, "Where regions are looked for.");
  f.section("features", features, "What is measured in a region.");
  f.section("views", views, "Further views of each photo, for training lists.");
  f.section("thumbnail", thumbnail, "The small picture kept for reports.");
}

void VisionOptions::check(FieldChecker& c) const {
  c.require(features.kind != FeatureKind::torchscript || image.longest_side >= features.torchscript.longest_side,
            "image.longest_side", "is less than features.torchscript.longest_side, so that detail would be lost",
            "at least " + std::to_string(features.torchscript.longest_side));
}

RegionExtractor::RegionExtractor(const VisionOptions& options)
    : options_(options), features_(make_region_features(options.features)), fingerprint_(make_fingerprint(options)) {
  // Photos are worked on in parallel; OpenCV's own threads would only get in each other's way.
  cv::setNumThreads(1);
}

ImageRegions RegionExtractor::regions(const Image& image) const {
  const Image working = shrink(image, options_.image.longest_side);
  const std::vector<Box> boxes = propose_regions(working, options_.proposals);
  return {.width = image.full_width,
          .height = image.full_height,
          .boxes = in_full_size(boxes, working),
          .features = features_->compute(working, boxes)};
}

ExtractedImage RegionExtractor::extract(const Image& image, const std::string& id) const {
  ExtractedImage extracted;
  extracted.views.push_back(regions(image));
  for (int64_t view = 0; view < options_.views.count; ++view) {
    RandomStream random(static_cast<uint64_t>(options_.views.seed), static_cast<uint64_t>(view), checksum(id));
    extracted.views.push_back(regions(augment(image, options_.views, random)));
  }
  if (options_.thumbnail.longest_side > 0) {
    extracted.thumbnail = encode_jpeg(shrink(image, options_.thumbnail.longest_side), options_.thumbnail.quality);
  }
  return extracted;
}

}  // namespace capture
