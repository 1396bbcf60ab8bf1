// What a region looks like, as numbers: the interface that every kind of region feature serves.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capture/base/fields.h"
#include "capture/vision/image.h"
#include "capture/vision/proposals.h"

namespace capture {

/// Computes one feature vector a region. Thread-safe: workers share one.
class RegionFeatures {
 public:
  virtual ~RegionFeatures() = default;
  /// D, the length of a feature.
  virtual int64_t width() const = 0;
  /// [boxes.size() × D] for boxes inside the image, in the image's own pixels. The same bytes for the same input.
  virtual std::vector<float> compute(const Image& image, std::span<const Box> boxes) const = 0;
};

/// Colour, gradient and texture statistics: no learned weights. See statistics_features.cpp for what is measured.
struct StatisticsOptions {
  int64_t seed = 1;

  void visit(FieldVisitor& f);
};

/// An exported backbone. [1, 3, H, W] normalised RGB in, a feature map [1, C, h, w] out.
struct TorchScriptOptions {
  std::string file;
  std::string device = "cpu";
  int64_t longest_side = 512;
  std::vector<double> mean = {0.485, 0.456, 0.406};
  std::vector<double> std = {0.229, 0.224, 0.225};

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

enum class FeatureKind { statistics, torchscript };

struct FeatureOptions {
  FeatureKind kind = FeatureKind::statistics;
  int64_t width = 0;
  StatisticsOptions statistics;
  TorchScriptOptions torchscript;

  void visit(FieldVisitor& f);
};

/// UserError when a TorchScript file cannot be loaded or does not give a feature map of the configured width.
std::unique_ptr<RegionFeatures> make_region_features(const FeatureOptions& options);

}  // namespace capture
