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
  std::string scaling = {};
  int64_t width = 0;
  int64_t projection_seed = 1;
  TorchScriptOptions torchscript = {};

  void visit(FieldVisitor& f);
};

/// The features of `options`: what `kind` measures, standardised or whitened if there is a `scaling` file, brought to
/// `width`. To spare room, zeros are appended. To save it, a whitening's strongest directions are kept; without one,
/// statistics (colour, edges, texture: see statistics_features.cpp) are randomly projected (see projection.h), and a
/// backbone must give the width that is asked for.
///
/// UserError when a TorchScript file cannot be loaded or gives no feature map of the configured width, or the scaling
/// was fitted on other features.
std::unique_ptr<RegionFeatures> make_region_features(const FeatureOptions& options);

/// What the features are before scaling and width: a digest of the kind, its options and file, and the code's version.
std::string features_fingerprint(const FeatureOptions& options);

}  // namespace capture
