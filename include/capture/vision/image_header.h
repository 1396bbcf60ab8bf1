// What an image file says about itself before a pixel is decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace capture {

enum class ImageFormat { jpeg, png, webp, bmp, tiff };

struct ImageHeader {
  ImageFormat format = ImageFormat::jpeg;
  int64_t width = 0;  ///< as stored, before `orientation` is applied
  int64_t height = 0;
  int orientation = 1;    ///< EXIF 1 to 8; 1 is upright
  bool animated = false;  ///< an animated WebP
};

/// Recognises the format by its first bytes and reads size and orientation; at most the header and the chunk or segment
/// lengths are looked at. UserError, without a path, when the bytes are empty, of no known format (naming those that it
/// recognises: GIF, HEIC, AVIF, JPEG XL, JPEG 2000, PDF, SVG), cut off (of JPEG, BMP and TIFF only a cut within the
/// header shows here), or give a size of zero.
ImageHeader read_image_header(std::span<const std::byte> bytes);

}  // namespace capture
