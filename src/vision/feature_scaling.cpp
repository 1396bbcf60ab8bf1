#include "capture/vision/feature_scaling.h"

#include <ATen/ATen.h>

#include <algorithm>
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

/// The strongest directions of the standardised numbers, [D, W]: eigenvectors of their covariance, each divided by the
/// root of its variance + ridge. Signs are settled, so that the same photos give the same file.
at::Tensor whitening(const at::Tensor& covariance, int64_t width, double ridge) {
  const auto [variances, vectors] = at::linalg_eigh(covariance);
  at::Tensor strongest = vectors.flip(1).narrow(1, 0, width);
  const at::Tensor spread = (variances.flip(0).narrow(0, 0, width).clamp_min(0) + ridge).sqrt();
  const at::Tensor leading = strongest.gather(0, strongest.abs().argmax(0, /*keepdim=*/true));
  return (strongest * leading.sign() / spread).to(at::kFloat).contiguous();
}

}  // namespace

int64_t FeatureScaling::scaled_width() const {
  return directions.empty() ? width() : static_cast<int64_t>(directions.size() / mean.size());
}

void FeatureScaling::keep_directions(int64_t count) {
  if (directions.empty()) return;
  const int64_t before = scaled_width();
  for (int64_t row = 0; row < width(); ++row) {
    std::copy_n(directions.begin() + row * before, count, directions.begin() + row * count);
  }
  directions.resize(static_cast<size_t>(width() * count));
}

std::vector<float> FeatureScaling::apply(std::vector<float> features) const {
  const size_t from = mean.size();
  for (size_t at = 0; at < features.size(); at += from) {
    for (size_t i = 0; i < from; ++i) features[at + i] = (features[at + i] - mean[i]) * scale[i];
  }
  if (directions.empty()) return features;
  const size_t to = directions.size() / from;
  std::vector<float> whitened(features.size() / from * to);
  for (size_t region = 0; region < features.size() / from; ++region) {
    float* out = whitened.data() + region * to;
    for (size_t i = 0; i < from; ++i) {
      const float value = features[region * from + i];
      const float* direction = directions.data() + i * to;
      for (size_t j = 0; j < to; ++j) out[j] += value * direction[j];
    }
  }
  return whitened;
}

ScalingFit::ScalingFit(int64_t width, int64_t whitened_width)
    : sums_(static_cast<size_t>(width)), squares_(static_cast<size_t>(width)), whitened_width_(whitened_width) {
  if (whitened_width_ > 0) products_ = at::zeros({width, width}, at::kDouble);
}

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
  if (whitened_width_ == 0 || features.empty()) return;
  const at::Tensor rows = at::tensor(at::ArrayRef<float>(features.data(), features.size()))
                              .to(at::kDouble)
                              .view({-1, static_cast<int64_t>(width)});
  products_.addmm_(rows.t(), rows);
}

FeatureScaling ScalingFit::finish(std::string features_fingerprint, double floor, double ridge) const {
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
  if (whitened_width_ > 0) {
    const at::Tensor mean = at::tensor(sums_, at::kDouble) / count;
    const at::Tensor scale = as_tensor(scaling.scale).to(at::kDouble);
    const at::Tensor covariance = (products_ / count - at::outer(mean, mean)) * at::outer(scale, scale);
    scaling.directions = as_vector(whitening(covariance, whitened_width_, ridge).flatten());
  }
  return scaling;
}

void write_scaling(const std::filesystem::path& path, const FeatureScaling& scaling) {
  std::vector<std::pair<std::string, at::Tensor>> tensors = {{"mean", as_tensor(scaling.mean)},
                                                             {"scale", as_tensor(scaling.scale)}};
  if (!scaling.directions.empty()) {
    tensors.emplace_back("directions", as_tensor(scaling.directions).view({scaling.width(), scaling.scaled_width()}));
  }
  write_safetensors(path, tensors, {{"format", kFormat}, {"features", scaling.features}});
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
  FeatureScaling scaling{.mean = as_vector(mean), .scale = as_vector(scale), .features = metadata.at("features")};
  if (file.contains("directions")) {
    const at::Tensor directions = file.tensor("directions");
    if (directions.scalar_type() != at::kFloat || directions.dim() != 2 || directions.size(0) != mean.size(0) ||
        directions.size(1) < 1 || directions.size(1) > mean.size(0) || !at::isfinite(directions).all().item<bool>()) {
      refuse("\"directions\" is not a finite float32 matrix with as many rows as \"mean\" has numbers");
    }
    scaling.directions = as_vector(directions);
  }
  return scaling;
}

}  // namespace capture
