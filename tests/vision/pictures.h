// Pictures made for tests, and questions asked of pixels.
#pragma once

#include <gmock/gmock.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/tensor/random.h"
#include "capture/vision/image.h"

namespace capture {

using Bgr = std::array<int, 3>;

inline const Bgr kRed = {0, 0, 255};
inline const Bgr kGreen = {0, 255, 0};
inline const Bgr kBlue = {255, 0, 0};
inline const Bgr kWhite = {255, 255, 255};

inline Image blank(int width, int height, const Bgr& colour = kWhite) {
  Image image{.width = width, .height = height, .bgr = {}, .full_width = width, .full_height = height};
  image.bgr.resize(static_cast<size_t>(width) * height * 3);
  for (size_t i = 0; i < image.bgr.size(); ++i) image.bgr[i] = static_cast<uint8_t>(colour[i % 3]);
  return image;
}

inline void paint(Image& image, int x1, int y1, int x2, int y2, const Bgr& colour) {
  for (int y = y1; y < y2; ++y) {
    for (int x = x1; x < x2; ++x) {
      for (int c = 0; c < 3; ++c) {
        image.bgr[(static_cast<size_t>(y) * image.width + x) * 3 + c] = static_cast<uint8_t>(colour[c]);
      }
    }
  }
}

/// Left half red, right half blue, the top-left quarter green: every way of lying looks different.
inline Image card(int width = 48, int height = 32) {
  Image image = blank(width, height, kBlue);
  paint(image, 0, 0, width / 2, height, kRed);
  paint(image, 0, 0, width / 2, height / 2, kGreen);
  return image;
}

/// Smooth random blobs and edges: something for every statistic to measure.
inline Image noise(int width, int height, uint64_t seed = 1) {
  Image image = blank(width, height);
  RandomStream random(seed, 0, 0);
  for (int i = 0; i < 40; ++i) {
    const int x = static_cast<int>(random.below(static_cast<uint32_t>(width)));
    const int y = static_cast<int>(random.below(static_cast<uint32_t>(height)));
    const int w = 1 + static_cast<int>(random.below(static_cast<uint32_t>(width - x)));
    const int h = 1 + static_cast<int>(random.below(static_cast<uint32_t>(height - y)));
    const auto shade = [&] { return static_cast<int>(random.below(256)); };
    paint(image, x, y, x + w, y + h, {shade(), shade(), shade()});
  }
  for (auto& value : image.bgr) value = static_cast<uint8_t>(value * 7 / 8 + random.below(32));
  return image;
}

inline Bgr pixel(const Image& image, int x, int y) {
  const size_t at = (static_cast<size_t>(y) * image.width + x) * 3;
  return {image.bgr.at(at), image.bgr.at(at + 1), image.bgr.at(at + 2)};
}

/// Each channel within `tolerance`: JPEG does not keep colours exactly.
MATCHER_P2(IsColour, colour, tolerance, "") {
  for (size_t c = 0; c < 3; ++c) {
    if (std::abs(arg[c] - colour[c]) > tolerance) return false;
  }
  return true;
}

/// The picture as a file of the kind that `suffix` (".png") names.
inline std::string encoded(const Image& image, const std::string& suffix, const std::vector<int>& parameters = {}) {
  std::vector<uint8_t> bytes;
  cv::imencode(suffix, cv::Mat(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.bgr.data())), bytes,
               parameters);
  return {bytes.begin(), bytes.end()};
}

inline Image decoded(const std::string& bytes, const ImageOptions& options = {}) {
  return decode_image(std::as_bytes(std::span(bytes)), options);
}

/// Why decoding is refused; "" when it is not.
inline std::string refusal(const std::string& bytes, const ImageOptions& options = {}) {
  try {
    decoded(bytes, options);
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

inline std::string test_picture(const std::string& name) {
  return read_file(std::filesystem::path(CAPTURE_TEST_DATA) / "vision/images" / name);
}

}  // namespace capture
