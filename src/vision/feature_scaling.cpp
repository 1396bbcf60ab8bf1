#include "capture/vision/feature_scaling.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

#include "capture/base/error.h"
#include "capture/tensor/safetensors.h"

namespace capture {

namespace {

constexpr const char* kFormat = "capture feature scaling 1";

at::Tensor as_tensor(const std::vector<float>& values) {
  return at::tensor(values, at::kFloat);
}

std::vector<float> as_vector(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), tensor.const_data_ptr<float>() + tensor.numel()};
}

}  // namespace

void FeatureScaling::apply(std::span<float> feature) const {
  for (size_t i = 0; i < feature.size(); ++i) feature[i] = (feature[i] - mean[i]) * scale[i];
}

ScalingFit::ScalingFit(int64_t width) : sums_(static_cast<size_t>(width)), squares_(static_cast<size_t>(width)) {}

void ScalingFit::add(std::span<const float> features) {
  const size_t width = sums_.size();
  for (size_t start = 0; start < features.size(); start += width) {
    for (size_t i = 0; i < width; ++i) {
      const double value = features[start + i];
      sums_[i] += value;
      squares_[i] += value * value;
    }
    ++count_;
  }
}

FeatureScaling ScalingFit::finish(std::string features_fingerprint, double floor) const {
  const auto count = static_cast<double>(count_);
  std::vector<double> deviations(sums_.size());
  for (size_t i = 0; i < sums_.size(); ++i) {
    const double mean = sums_[i] / count;
    deviations[i] = std::sqrt(std::max(0.0, squares_[i] / count - mean * mean));
  }
  const double average = std::accumulate(deviations.begin(), deviations.end(), 0.0) / static_cast<double>(sums_.size());
  FeatureScaling scaling{.mean = {}, .scale = {}, .features = std::move(features_fingerprint)};
  for (size_t i = 0; i < sums_.size(); ++i) {
    scaling.mean.push_back(static_cast<float>(sums_[i] / count));
    const double spread = deviations[i] + floor * average;
    // Nothing moved at all: every region was the same.
    scaling.scale.push_back(spread > 0 ? static_cast<float>(1 / spread) : 1.0F);
  }
  return scaling;
}

void write_scaling(const std::filesystem::path& path, const FeatureScaling& scaling) {
  write_safetensors(path, {{"mean", as_tensor(scaling.mean)}, {"scale", as_tensor(scaling.scale)}},
                    {{"format", kFormat}, {"features", scaling.features}});
}

FeatureScaling read_scaling(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const auto refuse = [&](const std::string& what) {
    throw UserError({.what = what,
                     .where = path.string(),
                     .allowed = "a file that capture_data import-images --fit-scaling wrote"});
  };
  const auto& metadata = file.metadata();
  const auto format = metadata.find("format");
  if (format == metadata.end() || format->second != kFormat || !metadata.contains("features") ||
      !file.contains("mean") || !file.contains("scale")) {
    refuse("holds no feature scaling");
  }
  const at::Tensor mean = file.tensor("mean");
  const at::Tensor scale = file.tensor("scale");
  if (mean.scalar_type() != at::kFloat || scale.scalar_type() != at::kFloat || mean.dim() != 1 ||
      mean.sizes() != scale.sizes() || !at::isfinite(mean).all().item<bool>() ||
      !at::isfinite(scale).all().item<bool>()) {
    refuse("\"mean\" and \"scale\" are not two finite float32 vectors of one length");
  }
  return {.mean = as_vector(mean), .scale = as_vector(scale), .features = metadata.at("features")};
}

}  // namespace capture
