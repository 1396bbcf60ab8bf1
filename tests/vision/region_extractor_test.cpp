// A photo's way from file to regions.
#include "capture/vision/region_extractor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "capture/base/config.h"
#include "pictures.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

TEST(RegionExtractor, GivesBoxesInThePhotosOwnPixels) {
  VisionOptions options;
  options.image.longest_side = 100;
  const RegionExtractor extractor(options);
  const ExtractedImage extracted = extractor.extract(noise(803, 401), "id");
  ASSERT_EQ(extracted.views.size(), 1U);
  const ImageRegions& regions = extracted.views[0];
  EXPECT_EQ(regions.width, 803);
  EXPECT_EQ(regions.height, 401);
  ASSERT_EQ(regions.boxes.size(), 30U);
  EXPECT_EQ(regions.boxes[0], (Box{0, 0, 803, 401}));
  EXPECT_NEAR(regions.boxes[29].x1, 0.75 * 803, 0.01);
  EXPECT_EQ(regions.boxes[29].x2, 803);
  EXPECT_EQ(regions.features.size(), 30 * static_cast<size_t>(extractor.feature_width()));
}

TEST(RegionExtractor, RemembersTheSizeOfAJpegDecodedSmall) {
  const RegionExtractor extractor({});
  const Image image = decoded(encoded(card(2000, 1000), ".jpg"), extractor.options().image);
  ASSERT_LT(image.width, 2000);
  const ImageRegions regions = extractor.extract(image, "id").views[0];
  EXPECT_EQ(regions.width, 2000);
  EXPECT_EQ(regions.boxes[0], (Box{0, 0, 2000, 1000}));
}

TEST(RegionExtractor, MakesAThumbnailOrNone) {
  VisionOptions options;
  options.thumbnail.longest_side = 50;
  const Image thumbnail = decode_image(RegionExtractor(options).extract(card(200, 100), "id").thumbnail, {});
  EXPECT_EQ(thumbnail.width, 50);
  EXPECT_EQ(thumbnail.height, 25);
  options.thumbnail.longest_side = 0;
  EXPECT_TRUE(RegionExtractor(options).extract(card(200, 100), "id").thumbnail.empty());
}

TEST(RegionExtractor, DrawsViewsByThePhotosId) {
  VisionOptions options;
  options.views.count = 2;
  const RegionExtractor extractor(options);
  const Image image = noise(100, 100);
  const ExtractedImage extracted = extractor.extract(image, "a");
  ASSERT_EQ(extracted.views.size(), 3U);
  EXPECT_EQ(extracted.views[0].features, RegionExtractor({}).extract(image, "a").views[0].features);
  EXPECT_NE(extracted.views[1].features, extracted.views[0].features);
  EXPECT_NE(extracted.views[1].features, extracted.views[2].features);
  EXPECT_EQ(extractor.extract(image, "a").views[2].features, extracted.views[2].features);
  EXPECT_NE(extractor.extract(image, "b").views[2].features, extracted.views[2].features);
}

TEST(RegionExtractor, GivesEveryWorkerTheSame) {
  VisionOptions options;
  options.proposals.kind = ProposalKind::selective_search;
  const RegionExtractor extractor(options);
  const Image image = noise(150, 100);
  const ImageRegions alone = extractor.extract(image, "id").views[0];
  std::array<ImageRegions, 4> together;
  {
    std::vector<std::jthread> threads;
    for (auto& regions : together) {
      threads.emplace_back([&] { regions = extractor.extract(image, "id").views[0]; });
    }
  }
  for (const auto& regions : together) {
    EXPECT_EQ(regions.boxes, alone.boxes);
    EXPECT_EQ(regions.features, alone.features);
  }
}

TEST(RegionExtractor, AFingerprintFollowsWhatChangesRegionsOnly) {
  const auto fingerprint = [](const std::string& json) {
    VisionOptions options;
    read_options(parse_json(json, "test"), options);
    return RegionExtractor(options).fingerprint();
  };
  const std::string plain = fingerprint("{}");
  for (const char* same :
       {R"({"thumbnail": {"quality": 50}})", R"({"views": {"count": 3}})", R"({"image": {"max_megapixels": 1}})"}) {
    EXPECT_EQ(fingerprint(same), plain) << same;
  }
  for (const char* other : {R"({"image": {"longest_side": 128}})", R"({"proposals": {"kind": "selective_search"}})",
                            R"({"features": {"width": 64}})"}) {
    EXPECT_NE(fingerprint(other), plain) << other;
  }
}

TEST(VisionOptions, RefuseABackboneThatWouldEnlargeShrunkPhotos) {
  VisionOptions options;
  const std::string json = R"({"features": {"kind": "torchscript"}, "image": {"longest_side": 256}})";
  try {
    read_options(parse_json(json, "test"), options);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("image.longest_side"));
  }
}

}  // namespace
}  // namespace capture
