// Photos as pixels: read, checked, turned upright and flattened to 8-bit BGR, or refused with a reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "capture/base/fields.h"

namespace capture {

/// 8-bit BGR pixels, rows packed, upright (EXIF rotation applied).
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> bgr;  ///< height × width × 3
  /// The photo's own upright size. Larger than width × height where a big JPEG was decoded at a fraction of its size.
  int full_width = 0;
  int full_height = 0;
};

struct ImageOptions {
  double max_megapixels = 64;
  int64_t max_file_megabytes = 256;
  int64_t longest_side = 256;

  void visit(FieldVisitor& f);
};

/// Decodes JPEG (grey, colour and CMYK), PNG, WebP, BMP and TIFF. Grey becomes BGR, transparency is flattened on white,
/// 16 bits become 8, and the first frame or page is taken of APNG and multi-page TIFF. A JPEG more than twice as large
/// as `options.longest_side` may be decoded at 1/2, 1/4 or 1/8 of its size.
///
/// UserError, with the reason but without a path, when the bytes are empty, of another format (GIF and animated WebP
/// included), larger than the limits (seen in the header, before anything is decoded), cut off or corrupt, or hold
/// floating-point pixels.
Image decode_image(std::span<const std::byte> bytes, const ImageOptions& options);

/// decode_image of a file; also refuses what is not a regular file or cannot be read. Messages name the path.
Image read_image(const std::filesystem::path& path, const ImageOptions& options);

/// `image` shrunk so that its longest side has at most `longest_side` pixels, each pixel the mean of the area that it
/// covers; an image that is small enough comes back as it is. No side shrinks below one pixel.
Image shrink(const Image& image, int64_t longest_side);

/// The image as JPEG, quality 1 to 100.
std::vector<std::byte> encode_jpeg(const Image& image, int64_t quality);

}  // namespace capture
