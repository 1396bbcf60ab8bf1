// JPEG through libjpeg itself: OpenCV paints what is missing of a cut-off file grey and says nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace capture {

struct DecodedJpeg {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> bgr;  ///< height × width × 3, as stored: EXIF rotation is not applied
  std::string damage;        ///< why the pixels cannot be trusted; empty when they can
};

/// Decodes grey, colour and CMYK JPEG at 1/`fraction` of its size (1, 2, 4 or 8), in which case each pixel is about the
/// mean of the area that it covers. Damage is told, never thrown.
DecodedJpeg decode_jpeg(std::span<const std::byte> bytes, int fraction);

}  // namespace capture
