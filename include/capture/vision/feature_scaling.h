// Standardised features: each number less its mean over the training photos' regions, divided by its spread. Fitted
// once on the training photos and used for every photo after.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace capture {

struct FeatureScaling {
  std::vector<float> mean;   ///< [D]
  std::vector<float> scale;  ///< [D], what a number less its mean is multiplied by
  std::string features;      ///< fingerprint of the features that it was fitted on

  int64_t width() const { return static_cast<int64_t>(mean.size()); }
  /// Standardises features of D numbers in place.
  void apply(std::span<float> feature) const;
};

/// Collects means and spreads over any number of regions, in double precision and in the order given.
class ScalingFit {
 public:
  explicit ScalingFit(int64_t width);

  /// [n × D]
  void add(std::span<const float> features);
  /// Regions added.
  int64_t count() const { return count_; }

  /// scale = 1 / (deviation + `floor` × mean of all deviations): the floor keeps numbers that hardly ever move from
  /// being blown up to noise. At least one region must have been added.
  FeatureScaling finish(std::string features_fingerprint, double floor = 0.2) const;

 private:
  std::vector<double> sums_;
  std::vector<double> squares_;
  int64_t count_ = 0;
};

/// A safetensors file with "mean" and "scale".
void write_scaling(const std::filesystem::path& path, const FeatureScaling& scaling);
/// UserError naming the file when it is not one that write_scaling wrote.
FeatureScaling read_scaling(const std::filesystem::path& path);

}  // namespace capture
