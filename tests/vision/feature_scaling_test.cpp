// Standardisation is fitted exactly, kept in a file, and refused where it does not belong.
#include "capture/vision/feature_scaling.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/tensor/safetensors.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

TEST(ScalingFit, CentresAndScalesByDeviationAndFloor) {
  ScalingFit fit(2);
  fit.add(std::vector<float>{1, 10, 3, 10});
  fit.add(std::vector<float>{5, 10});
  EXPECT_EQ(fit.count(), 3);
  const FeatureScaling scaling = fit.finish("f", 0.5);
  const double deviation = std::sqrt(8.0 / 3);
  const double floor = 0.5 * deviation / 2;
  const std::vector<float> feature = scaling.apply({5, 11});
  EXPECT_NEAR(feature[0], 2 / (deviation + floor), 1e-5);
  EXPECT_NEAR(feature[1], 1 / floor, 1e-5);
}

TEST(ScalingFit, LeavesFeaturesThatNeverMoveAtZero) {
  ScalingFit fit(2);
  fit.add(std::vector<float>{1, 2, 1, 2});
  EXPECT_EQ(fit.finish("f").apply({1, 2}), (std::vector<float>{0, 0}));
}

class ScalingFile : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  std::string refusal() {
    try {
      read_scaling(path_);
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path_.filename().string()));
      return error.what();
    }
    return {};
  }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("capture_scaling_" + std::to_string(::getpid()));
};

TEST_F(ScalingFile, ComesBackAsItWasWritten) {
  write_scaling(path_, {.mean = {1, 2, 3}, .scale = {4, 5, 6}, .features = "abc"});
  const FeatureScaling scaling = read_scaling(path_);
  EXPECT_EQ(scaling.mean, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(scaling.scale, (std::vector<float>{4, 5, 6}));
  EXPECT_EQ(scaling.features, "abc");
  EXPECT_EQ(scaling.width(), 3);
}

TEST_F(ScalingFile, IsRefusedWhenItHoldsSomethingElse) {
  const at::Tensor three = at::ones({3});
  const std::map<std::string, std::string> ours = {{"format", "capture feature scaling 1"}, {"features", "f"}};
  EXPECT_NE(refusal(), "");
  write_file(path_, "mean");
  EXPECT_NE(refusal(), "");
  write_safetensors(path_, {{"mean", three}, {"scale", three}});
  EXPECT_THAT(refusal(), HasSubstr("no feature scaling"));
  write_safetensors(path_, {{"mean", three}}, ours);
  EXPECT_THAT(refusal(), HasSubstr("no feature scaling"));
  for (const at::Tensor& scale : {at::ones({2}), at::ones({3}, at::kDouble), at::ones({3, 1}), three / 0}) {
    write_safetensors(path_, {{"mean", three}, {"scale", scale}}, ours);
    EXPECT_THAT(refusal(), HasSubstr("finite float32 vectors"));
  }
}

}  // namespace
}  // namespace capture
