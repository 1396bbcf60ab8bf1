// A backbone of the user's own: pooled as it should be, and refused in one sentence where it does not fit.
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>
#include <unistd.h>

#include "capture/base/config.h"
#include "capture/vision/region_features.h"
#include "pictures.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

class TorchScript : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  /// A backbone whose forward(self, x) has this body.
  FeatureOptions backbone(const std::string& body, int64_t width = 0) {
    torch::jit::Module module("backbone");
    module.define("def forward(self, x):\n  " + body + "\n");
    module.save(path_);
    return of_file(width);
  }

  FeatureOptions of_file(int64_t width = 0) const {
    FeatureOptions options;
    options.kind = FeatureKind::torchscript;
    options.width = width;
    options.torchscript.file = path_;
    options.torchscript.longest_side = 64;
    options.torchscript.mean = {0, 0, 0};
    options.torchscript.std = {1, 1, 1};
    return options;
  }

  std::string refusal(const FeatureOptions& options) const {
    try {
      make_region_features(options);
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path_));
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return error.what();
    }
    return {};
  }

  const std::string path_ =
      std::filesystem::temp_directory_path() / ("capture_backbone_" + std::to_string(::getpid()) + ".pt");
};

TEST_F(TorchScript, GetsNormalisedRgbAtTheChosenSize) {
  FeatureOptions options = backbone("return x");
  options.torchscript.mean = {0.5, 0, 0};
  options.torchscript.std = {0.5, 1, 2};
  const Image image = blank(128, 64, {51, 102, 204});
  const std::vector<float> feature = make_region_features(options)->compute(image, std::vector<Box>{{0, 0, 128, 64}});
  ASSERT_EQ(feature.size(), 3U);
  EXPECT_NEAR(feature[0], (0.8 - 0.5) / 0.5, 1e-5);
  EXPECT_NEAR(feature[1], 0.4, 1e-5);
  EXPECT_NEAR(feature[2], 0.1, 1e-5);

  FeatureOptions sized = backbone("return torch.zeros([1, x.size(2), 1, 1]) + x.size(3)");
  EXPECT_EQ(make_region_features(sized)->width(), 64);
  const Image square = blank(300, 300);
  EXPECT_EQ(make_region_features(sized)->compute(square, std::vector<Box>{{0, 0, 300, 300}})[0], 64);
}

TEST_F(TorchScript, PoolsEachRegionFromItsPartOfTheMap) {
  // Means over 4 x 4 pixels: a map of 16 x 16 cells whose channels are red, green and blue.
  const auto features = make_region_features(backbone("return torch.avg_pool2d(x, [4, 4])"));
  const std::vector<Box> boxes = {{0, 0, 48, 32}, {0, 0, 18, 12}, {30, 4, 44, 30}, {4, 20, 20, 30}, {24, 0, 24.5F, 1}};
  const std::vector<float> pooled = features->compute(card(48, 32), boxes);
  const auto expect = [&](size_t region, double red, double green, double blue, double tolerance) {
    EXPECT_NEAR(pooled[3 * region], red, tolerance) << region;
    EXPECT_NEAR(pooled[3 * region + 1], green, tolerance) << region;
    EXPECT_NEAR(pooled[3 * region + 2], blue, tolerance) << region;
  };
  expect(0, 0.25, 0.25, 0.5, 0.02);
  expect(1, 0, 1, 0, 0.02);
  expect(2, 0, 0, 1, 0.02);
  expect(3, 1, 0, 0, 0.02);
  // A region far smaller than a cell still samples the map.
  EXPECT_NEAR(pooled[12] + pooled[13] + pooled[14], 1, 0.02);
}

TEST_F(TorchScript, MatchesBilinearSamplingDoneByHand) {
  const auto features = make_region_features(backbone("return x[:, 0:1]"));
  Image image = blank(64, 64);
  for (int x = 0; x < 64; ++x) paint(image, x, 0, x + 1, 64, {0, 0, 4 * x});
  // A ramp: the mean over a region is the ramp's value at the region's middle. Cell x holds the value of its centre.
  const std::vector<float> pooled = features->compute(image, std::vector<Box>{{10, 5, 21, 40}, {30, 0, 31, 64}});
  EXPECT_NEAR(pooled[0] * 255, 4 * (15.5 - 0.5), 0.05);
  EXPECT_NEAR(pooled[1] * 255, 4 * (30.5 - 0.5), 0.05);
}

TEST_F(TorchScript, TakesTinyPhotos) {
  const auto features = make_region_features(backbone("return torch.avg_pool2d(x, [32, 32])"));
  for (const auto& [width, height] : {std::pair(1, 1), {1, 1000}, {1000, 1}}) {
    const Image image = card(width, height);
    EXPECT_EQ(features->compute(image, propose_regions(image, {})).size(), 90U);
  }
}

TEST_F(TorchScript, RefusesWhatIsNoBackbone) {
  EXPECT_THAT(refusal(of_file()), HasSubstr("No such file"));
  write_file(path_, "weights");
  EXPECT_THAT(refusal(of_file()), HasSubstr("not a TorchScript file"));
  EXPECT_THAT(refusal(backbone("return x.mean([2, 3])")), HasSubstr("gives a tensor [1, 3] of Float"));
  EXPECT_THAT(refusal(backbone("return (x, x)")), HasSubstr("gives a Tuple instead of a tensor"));
  EXPECT_THAT(refusal(backbone("return x.long()")), HasSubstr("of Long"));
  EXPECT_THAT(refusal(backbone("return torch.cat([x, x])")), HasSubstr("[2, 3, 64, 64]"));
  EXPECT_THAT(refusal(backbone("return x.view([7, 7])")), HasSubstr("cannot be run on a 64 x 64 picture"));
  EXPECT_THAT(refusal(backbone("return x", 256)), HasSubstr("width 3, features.width is 256"));
}

TEST_F(TorchScript, AFingerprintFollowsTheFile) {
  const std::string first = features_fingerprint(backbone("return x"));
  EXPECT_EQ(features_fingerprint(of_file()), first);
  EXPECT_NE(features_fingerprint(backbone("return x * 2")), first);
}

TEST(TorchScriptOptions, NeedThreeMeans) {
  TorchScriptOptions options;
  EXPECT_THROW(read_options(parse_json(R"({"mean": [0.5]})", "test"), options), UserError);
  EXPECT_THROW(read_options(parse_json(R"({"std": [1, 1, 0]})", "test"), options), UserError);
}

}  // namespace
}  // namespace capture
