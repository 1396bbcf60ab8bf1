// Whitened features: uncorrelated, of one spread, strongest direction first, and the same for the same photos.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "capture/base/error.h"
#include "capture/vision/feature_scaling.h"

namespace capture {
namespace {

constexpr int64_t kWidth = 6;
constexpr int64_t kRows = 500;

/// Numbers that move together: three hidden ones, mixed into six.
std::vector<float> correlated() {
  at::manual_seed(3);
  const at::Tensor rows = at::randn({kRows, 3}).matmul(at::randn({3, kWidth})) + 0.01 * at::randn({kRows, kWidth}) + 5;
  return {rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel()};
}

FeatureScaling fitted(int64_t width) {
  ScalingFit fit(kWidth, width);
  const std::vector<float> rows = correlated();
  fit.add(std::span(rows).first(kWidth * 100));
  fit.add(std::span(rows).subspan(kWidth * 100));
  return fit.finish("f", 0.0, 0.0);
}

TEST(Whitening, MakesTheNumbersUncorrelatedAndOfOneSpread) {
  const FeatureScaling scaling = fitted(3);
  EXPECT_EQ(scaling.width(), kWidth);
  EXPECT_EQ(scaling.scaled_width(), 3);
  const std::vector<float> whitened = scaling.apply(correlated());
  const at::Tensor rows = at::tensor(whitened).view({kRows, 3}).to(at::kDouble);
  EXPECT_TRUE(at::allclose(rows.mean(0), at::zeros({3}, at::kDouble), 0, 1e-4));
  EXPECT_TRUE(at::allclose(rows.t().matmul(rows) / kRows, at::eye(3, at::kDouble), 0, 1e-3));
}

TEST(Whitening, PutsTheStrongestDirectionFirst) {
  const std::vector<float> all = fitted(3).apply(correlated());
  const std::vector<float> one = fitted(1).apply(correlated());
  ASSERT_EQ(one.size(), static_cast<size_t>(kRows));
  for (size_t row = 0; row < one.size(); ++row) EXPECT_NEAR(one[row], all[row * 3], 1e-4);
  FeatureScaling first = fitted(3);
  first.keep_directions(1);
  EXPECT_EQ(first.directions, fitted(1).directions);
}

TEST(Whitening, ComesBackFromItsFileAndIsTheSameEachTime) {
  const auto path = std::filesystem::temp_directory_path() / ("capture_whitening_" + std::to_string(::getpid()));
  const FeatureScaling scaling = fitted(2);
  write_scaling(path, scaling);
  EXPECT_EQ(read_scaling(path).directions, scaling.directions);
  EXPECT_EQ(fitted(2).directions, scaling.directions);
  FeatureScaling broken = scaling;
  broken.directions[0] = std::numeric_limits<float>::quiet_NaN();
  write_scaling(path, broken);
  EXPECT_THROW(read_scaling(path), UserError);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace capture
