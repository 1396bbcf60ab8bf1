// Standardised features: each number less its mean over the training photos' regions, divided by its spread; or, where
// fewer numbers are wanted, whitened: the strongest directions of the standardised features, each with the same spread.
// Fitted once on the training photos, without looking at titles or labels, and used for every photo after.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace capture {

struct FeatureScaling {
  std::vector<float> mean;             ///< [D]
  std::vector<float> scale;            ///< [D], what a number less its mean is multiplied by
  std::string features;                ///< fingerprint of the features that it was fitted on
  std::vector<float> directions = {};  ///< [D × W], standardised numbers to whitened ones; empty: not whitened

  /// D, the width that goes in.
  int64_t width() const { return static_cast<int64_t>(mean.size()); }
  /// W where whitened, else D: the width that comes out.
  int64_t scaled_width() const;
  /// Leaves the first (strongest) `count` of the directions; nothing where not whitened. count <= scaled_width()
  void keep_directions(int64_t count);
  /// [n × D] → [n × scaled_width()]
  std::vector<float> apply(std::vector<float> features) const;
};

/// Collects means and spreads (and, to whiten, how the numbers move together) over any number of regions, in double
/// precision and in the order given.
class ScalingFit {
 public:
  /// `whitened_width` 0: standardise only. Otherwise at most `width`.
  explicit ScalingFit(int64_t width, int64_t whitened_width = 0);

  /// [n × D]
  void add(std::span<const float> features);
  /// Regions added.
  int64_t count() const { return count_; }

  /// scale = 1 / (deviation + `floor` × mean of all deviations): the floor keeps numbers that hardly ever move from
  /// being blown up to noise. Whitening divides direction i of the standardised features' covariance by the root of its
  /// variance + `ridge`, for the same reason. At least one region must have been added.
  FeatureScaling finish(std::string features_fingerprint, double floor = 0.2, double ridge = 0.1) const;

 private:
  std::vector<double> sums_;
  std::vector<double> squares_;
  int64_t whitened_width_;
  at::Tensor products_;  // [D, D] sums of products of two numbers, where whitened
  int64_t count_ = 0;
};

/// A safetensors file with "mean", "scale" and, where whitened, "directions".
void write_scaling(const std::filesystem::path& path, const FeatureScaling& scaling);
/// UserError naming the file when it is not one that write_scaling wrote.
FeatureScaling read_scaling(const std::filesystem::path& path);

}  // namespace capture
