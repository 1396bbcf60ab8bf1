// Every kind of photo is read upright in its colours, or refused with a reason; none brings the reader down.
#include "capture/vision/image.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <opencv2/core.hpp>

#include "pictures.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

void expect_card(const Image& image, int tolerance) {
  ASSERT_EQ(image.width, 48);
  ASSERT_EQ(image.height, 32);
  EXPECT_EQ(image.full_width, 48);
  EXPECT_EQ(image.full_height, 32);
  EXPECT_THAT(pixel(image, 10, 7), IsColour(kGreen, tolerance));
  EXPECT_THAT(pixel(image, 10, 25), IsColour(kRed, tolerance));
  EXPECT_THAT(pixel(image, 36, 7), IsColour(kBlue, tolerance));
  EXPECT_THAT(pixel(image, 36, 25), IsColour(kBlue, tolerance));
}

/// A JPEG whose EXIF block gives `orientation`, in either byte order.
std::string with_orientation(const std::string& jpeg, int orientation, bool big_endian) {
  const auto number = [&](uint32_t value, size_t length) {
    std::string text;
    for (size_t i = 0; i < length; ++i) {
      text += static_cast<char>(value >> (8 * (big_endian ? length - 1 - i : i)) & 0xFF);
    }
    return text;
  };
  std::string exif = std::string("Exif\0\0", 6) + (big_endian ? "MM" : "II") + number(42, 2) + number(8, 4) +
                     number(1, 2) + number(274, 2) + number(3, 2) + number(1, 4) +
                     number(static_cast<uint32_t>(orientation), 2) + number(0, 2) + number(0, 4);
  const auto length = static_cast<uint16_t>(exif.size() + 2);
  const std::string head = {'\xFF', '\xE1', static_cast<char>(length >> 8), static_cast<char>(length & 0xFF)};
  return jpeg.substr(0, 2) + head + exif + jpeg.substr(2);
}

/// The pixels as they are stored when a camera was held so that `orientation` must be applied to turn them upright.
Image stored_for(const Image& image, int orientation) {
  const bool on_its_side = orientation >= 5;
  Image stored = on_its_side ? blank(image.height, image.width) : blank(image.width, image.height);
  for (int y = 0; y < stored.height; ++y) {
    for (int x = 0; x < stored.width; ++x) {
      const int right = image.width - 1;
      const int bottom = image.height - 1;
      // The EXIF standard: which upright pixel the stored row and column hold.
      const std::array<std::array<int, 2>, 8> upright = {{{x, y},
                                                          {right - x, y},
                                                          {right - x, bottom - y},
                                                          {x, bottom - y},
                                                          {y, x},
                                                          {right - y, x},
                                                          {right - y, bottom - x},
                                                          {y, bottom - x}}};
      const auto [ux, uy] = upright[static_cast<size_t>(orientation - 1)];
      paint(stored, x, y, x + 1, y + 1, pixel(image, ux, uy));
    }
  }
  return stored;
}

TEST(Image, ReadsEveryFormatInItsColours) {
  for (const char* suffix : {".png", ".bmp", ".tiff", ".webp"}) {
    SCOPED_TRACE(suffix);
    expect_card(decoded(encoded(card(), suffix)), 0);
  }
  expect_card(decoded(encoded(card(), ".jpg")), 8);
  expect_card(decoded(encoded(card(), ".jpg", {cv::IMWRITE_JPEG_PROGRESSIVE, 1})), 8);
}

TEST(Image, TurnsPhotosUpright) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    SCOPED_TRACE(orientation);
    const std::string jpeg = encoded(stored_for(card(), orientation), ".jpg", {cv::IMWRITE_JPEG_QUALITY, 100});
    expect_card(decoded(with_orientation(jpeg, orientation, true)), 8);
    expect_card(decoded(with_orientation(jpeg, orientation, false)), 8);
  }
  expect_card(decoded(test_picture("orientation_6.png")), 0);
  expect_card(decoded(test_picture("orientation_6.webp")), 0);
  expect_card(decoded(test_picture("orientation_6.tiff")), 0);
}

TEST(Image, LeavesPhotosWithImpossibleOrientationsAsTheyAre) {
  const std::string jpeg = encoded(card(), ".jpg");
  for (const int orientation : {0, 9, 65535}) expect_card(decoded(with_orientation(jpeg, orientation, true)), 8);
}

TEST(Image, MakesGreyPhotosColoured) {
  const cv::Mat grey(20, 30, CV_8U, cv::Scalar(100));
  for (const char* suffix : {".png", ".jpg", ".bmp", ".tiff"}) {
    SCOPED_TRACE(suffix);
    std::vector<uint8_t> bytes;
    cv::imencode(suffix, grey, bytes);
    const Image image = decoded({bytes.begin(), bytes.end()});
    EXPECT_EQ(image.width, 30);
    EXPECT_THAT(pixel(image, 15, 10), IsColour(Bgr{100, 100, 100}, 1));
  }
}

TEST(Image, FlattensTransparencyOnWhite) {
  cv::Mat bgra(20, 30, CV_8UC4, cv::Scalar(10, 20, 30, 0));
  bgra.colRange(10, 20).setTo(cv::Scalar(0, 0, 200, 255));
  bgra.colRange(20, 30).setTo(cv::Scalar(0, 0, 0, 51));
  for (const char* suffix : {".png", ".tiff"}) {
    SCOPED_TRACE(suffix);
    std::vector<uint8_t> bytes;
    cv::imencode(suffix, bgra, bytes);
    const Image image = decoded({bytes.begin(), bytes.end()});
    EXPECT_EQ(pixel(image, 5, 5), kWhite);
    EXPECT_EQ(pixel(image, 15, 5), (Bgr{0, 0, 200}));
    EXPECT_EQ(pixel(image, 25, 5), (Bgr{204, 204, 204}));
  }
  const Image grey = decoded(test_picture("grey_alpha.png"));
  EXPECT_EQ(pixel(grey, 5, 5), (Bgr{100, 100, 100}));
  EXPECT_EQ(pixel(grey, 40, 5), kWhite);
}

TEST(Image, ScalesSixteenBitsToEight) {
  const cv::Mat deep(20, 30, CV_16UC3, cv::Scalar(65535, 0, 25700));
  for (const char* suffix : {".png", ".tiff"}) {
    SCOPED_TRACE(suffix);
    std::vector<uint8_t> bytes;
    cv::imencode(suffix, deep, bytes);
    EXPECT_EQ(pixel(decoded({bytes.begin(), bytes.end()}), 15, 10), (Bgr{255, 0, 100}));
  }
}

TEST(Image, ReadsBothKindsOfCmyk) {
  expect_card(decoded(test_picture("cmyk.jpg")), 24);
  expect_card(decoded(test_picture("cmyk_plain.jpg")), 24);
}

TEST(Image, TakesTheFirstFrameOrNamesTheAnimation) {
  expect_card(decoded(test_picture("animated.png")), 0);
  expect_card(decoded(test_picture("pages.tiff")), 0);
  EXPECT_THAT(refusal(test_picture("animated.webp")), HasSubstr("animated WebP"));
  EXPECT_THAT(refusal(test_picture("animated.gif")), HasSubstr("is a GIF"));
}

TEST(Image, ExpandsPalettes) {
  const Image image = decoded(test_picture("palette.png"));
  EXPECT_EQ(image.width, 48);
  EXPECT_EQ(image.height, 32);
}

TEST(Image, RefusesFloatingPointPixels) {
  EXPECT_THAT(refusal(test_picture("floating_point.tiff")), HasSubstr("neither 8 nor 16 bits"));
}

TEST(Image, NamesCutOffFilesAtEveryLength) {
  for (const char* suffix : {".jpg", ".png", ".webp", ".bmp", ".tiff"}) {
    const std::string whole = encoded(noise(64, 48), suffix);
    for (size_t length = 0; length < whole.size(); length += 1 + length / 16) {
      const std::string reason = refusal(whole.substr(0, length));
      // The last bytes of some formats say nothing about pixels.
      if (length + 16 < whole.size()) {
        EXPECT_NE(reason, "") << suffix << " cut to " << length << " of " << whole.size();
      }
    }
  }
}

TEST(Image, NamesAJpegWhoseLastLinesAreMissing) {
  const std::string whole = encoded(noise(64, 48), ".jpg");
  EXPECT_THAT(refusal(whole.substr(0, whole.size() - 40)), HasSubstr("cut off or corrupt"));
  // The end marker alone does not make it whole.
  EXPECT_THAT(refusal(whole.substr(0, whole.size() / 2) + "\xFF\xD9"), HasSubstr("cut off or corrupt"));
  EXPECT_EQ(refusal(whole + "trailing bytes of a camera"), "");
}

TEST(Image, SurvivesFlippedBytes) {
  RandomStream random(7, 0, 0);
  int refused = 0;
  for (const char* suffix : {".jpg", ".png", ".webp", ".bmp", ".tiff"}) {
    const std::string whole = encoded(noise(24, 16), suffix);
    for (int i = 0; i < 400; ++i) {
      std::string broken = whole;
      const int flips = 1 + static_cast<int>(random.below(4));
      for (int flip = 0; flip < flips; ++flip) {
        // Half of the damage goes to the header, where it hurts most.
        const size_t reach = random.below(2) == 0 ? std::min<size_t>(64, broken.size()) : broken.size();
        broken[random.below(static_cast<uint32_t>(reach))] = static_cast<char>(random.below(256));
      }
      refused += refusal(broken, {.max_megapixels = 1}).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 500);
  EXPECT_LT(refused, 2000);  // a flipped colour is still a photo
}

TEST(Image, RefusesHugePhotosByTheirHeader) {
  // A PNG that promises 60,000 x 60,000 pixels and holds none.
  const std::string small = encoded(card(), ".png");
  std::string png = small.substr(0, 33) + small.substr(small.size() - 12);
  for (const size_t at : {16U, 20U}) png.replace(at, 4, std::string("\0\0\xEA\x60", 4));
  EXPECT_THAT(refusal(png), HasSubstr("60000 x 60000"));
  EXPECT_THAT(refusal(encoded(card(100, 100), ".jpg"), {.max_megapixels = 0.001}), HasSubstr("100 x 100"));
  EXPECT_EQ(refusal(encoded(card(100, 100), ".jpg"), {.max_megapixels = 0.01}), "");
}

TEST(Image, NamesWhatIsNoPicture) {
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("id,title\n"), HasSubstr("not a picture"));
  EXPECT_THAT(refusal("<html>"), HasSubstr("web page"));
  EXPECT_THAT(refusal(std::string("\0\0\0\x18"
                                  "ftypheic",
                                  12)),
              HasSubstr("HEIC"));
}

TEST(Image, ReadsPhotosOfOnePixel) {
  const Image image = decoded(encoded(card(1, 1), ".png"));
  EXPECT_EQ(image.width, 1);
  EXPECT_EQ(image.height, 1);
}

TEST(Image, DecodesALargeJpegSmallAndRemembersItsSize) {
  const std::string jpeg = encoded(card(1201, 801), ".jpg");
  const Image image = decoded(jpeg, {.longest_side = 128});
  EXPECT_EQ(image.full_width, 1201);
  EXPECT_EQ(image.full_height, 801);
  EXPECT_EQ(image.width, 301);
  EXPECT_THAT(pixel(image, 50, 50), IsColour(kGreen, 8));
  const Image turned = decoded(with_orientation(jpeg, 6, true), {.longest_side = 128});
  EXPECT_EQ(turned.full_width, 801);
  EXPECT_EQ(turned.full_height, 1201);
  EXPECT_EQ(turned.height, 301);
}

TEST(Image, ShrinksToTheLongestSide) {
  const Image small = shrink(card(400, 100), 200);
  EXPECT_EQ(small.width, 200);
  EXPECT_EQ(small.height, 50);
  EXPECT_EQ(small.full_width, 400);
  EXPECT_EQ(pixel(small, 20, 10), kGreen);
  EXPECT_EQ(shrink(card(1, 1000), 100).width, 1);
  EXPECT_EQ(shrink(card(20, 10), 100).width, 20);
}

class ImageFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("capture_image_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string reason(const std::string& name) const {
    try {
      read_image(folder_ / name, {});
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(name));
      return error.what();
    }
    return {};
  }

  std::filesystem::path folder_;
};

TEST_F(ImageFile, NamesThePathOfWhatCannotBeRead) {
  write_file(folder_ / "good.png", encoded(card(), ".png"));
  write_file(folder_ / "empty.jpg", "");
  std::filesystem::create_directory(folder_ / "folder.jpg");
  std::filesystem::create_symlink("loop.jpg", folder_ / "loop.jpg");
  ::mkfifo((folder_ / "pipe.jpg").c_str(), 0600);
  EXPECT_EQ(reason("good.png"), "");
  EXPECT_THAT(reason("empty.jpg"), HasSubstr("empty"));
  EXPECT_THAT(reason("folder.jpg"), HasSubstr("folder"));
  EXPECT_THAT(reason("loop.jpg"), HasSubstr("symbolic links"));
  EXPECT_THAT(reason("missing.jpg"), HasSubstr("No such file"));
  EXPECT_THAT(reason("pipe.jpg"), HasSubstr("regular file"));
}

TEST_F(ImageFile, RefusesFilesOverTheLimitUnread) {
  write_file(folder_ / "big.jpg", "");
  std::filesystem::resize_file(folder_ / "big.jpg", (uint64_t{1} << 20) + 1);
  EXPECT_THROW(read_image(folder_ / "big.jpg", {.max_file_megabytes = 1}), UserError);
}

TEST(Jpeg, EncodesAndDecodes) {
  const std::vector<std::byte> bytes = encode_jpeg(card(), 90);
  expect_card(decode_image(bytes, {}), 8);
}

}  // namespace
}  // namespace capture
