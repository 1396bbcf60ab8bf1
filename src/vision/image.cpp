// One way in for every photo. Files are read into memory first and decoded by named codecs only: OpenCV's own imread
// would hand what it does not know to GDAL, which opens far more than pictures.
#include "capture/vision/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/vision/image_header.h"
#include "jpeg_decoder.h"
#include "matrix.h"

namespace capture {

namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& hint = {}) {
  throw UserError({.what = what, .hint = hint});
}

[[noreturn]] void refuse_damaged(const std::string& reason) {
  refuse("the picture is cut off or corrupt (" + reason + ")", "fetch or save it again");
}

/// Turns stored pixels upright. EXIF numbers the eight ways in which a picture can lie.
cv::Mat upright(const cv::Mat& stored, int orientation) {
  cv::Mat turned = stored;
  if (orientation >= 5) cv::transpose(stored, turned);
  const bool mirrored = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool upside_down = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  if (mirrored || upside_down) {
    cv::Mat flipped;
    cv::flip(turned, flipped, mirrored && upside_down ? -1 : (mirrored ? 1 : 0));
    turned = flipped;
  }
  return turned;
}

/// BGRA over white: what a shop's page would show.
cv::Mat flatten_alpha(const cv::Mat& bgra) {
  cv::Mat bgr(bgra.size(), CV_8UC3);
  for (int y = 0; y < bgra.rows; ++y) {
    const auto* from = bgra.ptr<uint8_t>(y);
    auto* to = bgr.ptr<uint8_t>(y);
    for (int x = 0; x < bgra.cols; ++x, from += 4, to += 3) {
      for (int c = 0; c < 3; ++c) to[c] = static_cast<uint8_t>((from[c] * from[3] + 255 * (255 - from[3]) + 127) / 255);
    }
  }
  return bgr;
}

/// Whatever a codec returns as 8-bit BGR.
cv::Mat to_bgr(const cv::Mat& decoded) {
  cv::Mat pixels = decoded;
  if (decoded.depth() == CV_16U) {
    decoded.convertTo(pixels, CV_8U, 1.0 / 257);
  } else if (decoded.depth() != CV_8U) {
    refuse("holds pixels that are neither 8 nor 16 bits of unsigned brightness", "save it with 8 bits a channel");
  }
  cv::Mat bgr;
  switch (pixels.channels()) {
    case 1:
      cv::cvtColor(pixels, bgr, cv::COLOR_GRAY2BGR);
      return bgr;
    case 3:
      return pixels;
    case 4:
      return flatten_alpha(pixels);
    default:
      refuse("has " + std::to_string(pixels.channels()) + " channels", "save it as RGB");
  }
}

cv::Mat decode_by_opencv(std::span<const std::byte> bytes) {
  // OpenCV would print its own account of each damaged file next to ours.
  static std::once_flag quiet;
  std::call_once(quiet, [] { cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT); });
  cv::Mat decoded;
  try {
    const cv::Mat raw(1, static_cast<int>(bytes.size()), CV_8U, const_cast<std::byte*>(bytes.data()));
    decoded = cv::imdecode(raw, cv::IMREAD_UNCHANGED);
  } catch (const cv::Exception& error) {
    refuse_damaged(error.err.empty() ? "the decoder gave up" : error.err);
  }
  if (decoded.empty()) refuse_damaged("the decoder gave up");
  return decoded;
}

/// The largest of 1, 2, 4 and 8 that leaves twice the pixels that `longest_side` asks for, so that the resize that
/// follows still sees more than it keeps.
int jpeg_fraction(const ImageHeader& header, int64_t longest_side) {
  int fraction = 1;
  while (fraction < 8 && std::max(header.width, header.height) >= 4 * fraction * longest_side) fraction *= 2;
  return fraction;
}

void check_size(const ImageHeader& header, const ImageOptions& options) {
  const double megapixels = static_cast<double>(header.width) * static_cast<double>(header.height) * 1e-6;
  constexpr int64_t kLongest = 1 << 20;
  if (megapixels > options.max_megapixels || std::max(header.width, header.height) > kLongest) {
    throw UserError({.what = "has " + std::to_string(header.width) + " x " + std::to_string(header.height) + " pixels",
                     .allowed = "at most " + std::to_string(std::llround(options.max_megapixels)) +
                                " megapixels (max_megapixels) and " + std::to_string(kLongest) + " a side"});
  }
}

cv::Mat decode(std::span<const std::byte> bytes, const ImageHeader& header, int64_t longest_side) {
  if (header.format != ImageFormat::jpeg) return to_bgr(decode_by_opencv(bytes));
  DecodedJpeg jpeg = decode_jpeg(bytes, jpeg_fraction(header, longest_side));
  if (!jpeg.damage.empty()) refuse_damaged(jpeg.damage);
  return cv::Mat(jpeg.height, jpeg.width, CV_8UC3, jpeg.bgr.data()).clone();
}

}  // namespace

void ImageOptions::visit(FieldVisitor& f) {
  f.field("max_megapixels", max_megapixels, "Photos with more pixels are refused before they are decoded.",
          {0.000001, 1000.0});
  f.field("max_file_megabytes", max_file_megabytes, "Larger files are refused unread.", {1, 2000});
  f.field("longest_side", longest_side,
          "Photos are shrunk to this many pixels on their longest side before regions and features are computed.",
          {16, 4096});
}

Image decode_image(std::span<const std::byte> bytes, const ImageOptions& options) {
  const ImageHeader header = read_image_header(bytes);
  check_size(header, options);
  if (header.animated) refuse("is an animated WebP", "save its first frame as JPEG or PNG");
  cv::Mat pixels = decode(bytes, header, options.longest_side);
  // OpenCV has already turned a TIFF.
  if (header.format != ImageFormat::tiff) pixels = upright(pixels, header.orientation);
  Image image = from_matrix(pixels);
  const bool on_its_side = header.orientation >= 5;
  image.full_width = static_cast<int>(on_its_side ? header.height : header.width);
  image.full_height = static_cast<int>(on_its_side ? header.width : header.height);
  return image;
}

Image read_image(const std::filesystem::path& path, const ImageOptions& options) {
  const std::string bytes = read_file(path, static_cast<uint64_t>(options.max_file_megabytes) << 20);
  try {
    return decode_image(std::as_bytes(std::span(bytes)), options);
  } catch (const UserError& error) {
    UserError::Parts parts = error.parts();
    parts.where = path.string();
    throw UserError(std::move(parts));
  }
}

Image shrink(const Image& image, int64_t longest_side) {
  const int longest = std::max(image.width, image.height);
  if (longest <= longest_side) return image;
  const double scale = static_cast<double>(longest_side) / longest;
  const auto scaled = [&](int side) { return std::max(1, static_cast<int>(std::lround(side * scale))); };
  cv::Mat small;
  cv::resize(as_matrix(image), small, {scaled(image.width), scaled(image.height)}, 0, 0, cv::INTER_AREA);
  Image shrunk = from_matrix(small);
  shrunk.full_width = image.full_width;
  shrunk.full_height = image.full_height;
  return shrunk;
}

std::vector<std::byte> encode_jpeg(const Image& image, int64_t quality) {
  std::vector<uint8_t> bytes;
  cv::imencode(".jpg", as_matrix(image), bytes, {cv::IMWRITE_JPEG_QUALITY, static_cast<int>(quality)});
  std::vector<std::byte> jpeg(bytes.size());
  std::memcpy(jpeg.data(), bytes.data(), bytes.size());
  return jpeg;
}

}  // namespace capture
