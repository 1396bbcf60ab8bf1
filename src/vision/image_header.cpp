// Sizes and orientation straight from the bytes: a picture's dimensions must be known before a decoder allocates for
// it.
#include "capture/vision/image_header.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "capture/base/error.h"

namespace capture {

namespace {

constexpr std::string_view kFormats = "JPEG, PNG, WebP, BMP or TIFF";

[[noreturn]] void refuse(const std::string& what, const std::string& hint = {}) {
  throw UserError({.what = what, .hint = hint});
}

[[noreturn]] void refuse_cut_off() {
  refuse("the picture is cut off", "fetch or save it again");
}

/// Bounds-checked reads; a read past the end says that the file is cut off.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}

  size_t size() const { return bytes_.size(); }
  bool has(size_t offset, size_t length) const { return offset <= bytes_.size() && length <= bytes_.size() - offset; }

  uint32_t read(size_t offset, size_t length) const {
    if (!has(offset, length)) refuse_cut_off();
    uint32_t value = 0;
    for (size_t i = 0; i < length; ++i) {
      const size_t shift = 8 * (big_endian_ ? length - 1 - i : i);
      value |= std::to_integer<uint32_t>(bytes_[offset + i]) << shift;
    }
    return value;
  }

  bool matches(size_t offset, std::string_view text) const {
    return has(offset, text.size()) &&
           std::string_view(reinterpret_cast<const char*>(bytes_.data()) + offset, text.size()) == text;
  }

  Bytes from(size_t offset, size_t length) const {
    offset = std::min(offset, bytes_.size());
    return {bytes_.subspan(offset, std::min(length, bytes_.size() - offset)), big_endian_};
  }
  Bytes from(size_t offset) const { return from(offset, bytes_.size()); }
  Bytes ordered(bool big_endian) const { return {bytes_, big_endian}; }

 private:
  std::span<const std::byte> bytes_;
  bool big_endian_;
};

/// What one TIFF directory (a TIFF file's first, or an EXIF block's) says.
struct Directory {
  uint32_t width = 0;
  uint32_t height = 0;
  int orientation = 1;
};

std::optional<Directory> read_directory(Bytes bytes) {
  constexpr uint32_t kWidth = 256;
  constexpr uint32_t kHeight = 257;
  constexpr uint32_t kOrientation = 274;
  constexpr uint32_t kShort = 3;
  const bool big_endian = bytes.matches(0, "MM");
  if (!big_endian && !bytes.matches(0, "II")) return std::nullopt;
  bytes = bytes.ordered(big_endian);
  if (bytes.read(2, 2) != 42) return std::nullopt;
  const size_t start = bytes.read(4, 4);
  const size_t count = bytes.read(start, 2);
  Directory directory;
  for (size_t i = 0; i < count; ++i) {
    const size_t entry = start + 2 + 12 * i;
    const uint32_t tag = bytes.read(entry, 2);
    const uint32_t value = bytes.read(entry + 8, bytes.read(entry + 2, 2) == kShort ? 2 : 4);
    if (tag == kWidth) directory.width = value;
    if (tag == kHeight) directory.height = value;
    if (tag == kOrientation && value >= 1 && value <= 8) directory.orientation = static_cast<int>(value);
  }
  return directory;
}

/// The orientation in an EXIF block. A damaged block says nothing: the picture itself may still be good.
int exif_orientation(Bytes bytes) {
  if (bytes.matches(0, std::string_view("Exif\0\0", 6))) bytes = bytes.from(6);
  try {
    const auto directory = read_directory(bytes);
    return directory ? directory->orientation : 1;
  } catch (const UserError&) {
    return 1;
  }
}

ImageHeader read_jpeg(Bytes bytes) {
  ImageHeader header{.format = ImageFormat::jpeg};
  bytes = bytes.ordered(true);
  for (size_t at = 2;;) {
    // A marker may be preceded by any number of fill bytes.
    while (bytes.read(at, 1) == 0xFF && bytes.read(at + 1, 1) == 0xFF) ++at;
    if (bytes.read(at, 1) != 0xFF) refuse("the JPEG header is corrupt");
    const uint32_t marker = bytes.read(at + 1, 1);
    const size_t length = bytes.read(at + 2, 2);
    const size_t body = at + 4;
    if (length < 2) refuse("the JPEG header is corrupt");
    const bool start_of_frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (start_of_frame) {
      header.height = bytes.read(body + 1, 2);
      header.width = bytes.read(body + 3, 2);
      return header;
    }
    if (marker == 0xDA || marker == 0xD9) refuse("the JPEG header gives no size");
    if (marker == 0xE1 && bytes.matches(body, "Exif"))
      header.orientation = exif_orientation(bytes.from(body, length - 2));
    at += 2 + length;
  }
}

ImageHeader read_png(Bytes bytes) {
  bytes = bytes.ordered(true);
  ImageHeader header{.format = ImageFormat::png, .width = bytes.read(16, 4), .height = bytes.read(20, 4)};
  if (!bytes.matches(12, "IHDR")) refuse("the PNG header is corrupt");
  for (size_t at = 8; bytes.has(at, 8);) {
    const size_t length = bytes.read(at, 4);
    if (bytes.matches(at + 4, "IEND")) return header;
    if (bytes.matches(at + 4, "eXIf")) header.orientation = exif_orientation(bytes.from(at + 8, length));
    at += 12 + length;
  }
  refuse_cut_off();
}

ImageHeader read_webp(Bytes bytes) {
  bytes = bytes.ordered(false);
  if (!bytes.has(8, bytes.read(4, 4))) refuse_cut_off();
  ImageHeader header{.format = ImageFormat::webp};
  if (bytes.matches(12, "VP8 ")) {
    if (bytes.read(23, 3) != 0x2A019D) refuse("the WebP header is corrupt");
    header.width = bytes.read(26, 2) & 0x3FFF;
    header.height = bytes.read(28, 2) & 0x3FFF;
  } else if (bytes.matches(12, "VP8L")) {
    const uint32_t bits = bytes.read(21, 4);
    header.width = (bits & 0x3FFF) + 1;
    header.height = ((bits >> 14) & 0x3FFF) + 1;
  } else if (bytes.matches(12, "VP8X")) {
    header.animated = (bytes.read(20, 1) & 2) != 0;
    header.width = bytes.read(24, 3) + 1;
    header.height = bytes.read(27, 3) + 1;
  } else {
    refuse("the WebP header is corrupt");
  }
  for (size_t at = 12; bytes.has(at, 8);) {
    const size_t length = bytes.read(at + 4, 4);
    if (bytes.matches(at, "EXIF")) header.orientation = exif_orientation(bytes.from(at + 8, length));
    at += 8 + length + length % 2;
  }
  return header;
}

ImageHeader read_bmp(Bytes bytes) {
  bytes = bytes.ordered(false);
  ImageHeader header{.format = ImageFormat::bmp};
  if (bytes.read(14, 4) == 12) {
    header.width = bytes.read(18, 2);
    header.height = bytes.read(20, 2);
    return header;
  }
  // A negative height stands for rows stored from the top down.
  header.width = static_cast<int32_t>(bytes.read(18, 4));
  header.height = std::abs(int64_t{static_cast<int32_t>(bytes.read(22, 4))});
  return header;
}

ImageHeader read_tiff(Bytes bytes) {
  const auto directory = read_directory(bytes);
  if (!directory) refuse("the TIFF header is corrupt");
  return {.format = ImageFormat::tiff,
          .width = directory->width,
          .height = directory->height,
          .orientation = directory->orientation};
}

/// Formats worth naming although they are not read.
std::string_view other_format(const Bytes& bytes) {
  struct Signature {
    size_t offset;
    std::string_view bytes;
    std::string_view name;
  };
  static constexpr std::array<Signature, 13> kSignatures = {{
      {0, "GIF8", "a GIF"},
      {4, "ftypavif", "an AVIF picture"},
      {4, "ftypavis", "an AVIF animation"},
      {4, "ftyphei", "a HEIC picture"},
      {4, "ftypmif1", "a HEIF picture"},
      {4, "ftyp", "a video"},
      {0, "\xFF\x0A", "a JPEG XL picture"},
      {4, "JXL ", "a JPEG XL picture"},
      {4, "jP  ", "a JPEG 2000 picture"},
      {0, "\x76\x2F\x31\x01", "an OpenEXR picture"},
      {0, "%PDF", "a PDF"},
      {0, "<svg", "an SVG drawing"},
      {0, "<", "a web page or XML text"},
  }};
  for (const auto& signature : kSignatures) {
    if (bytes.matches(signature.offset, signature.bytes)) return signature.name;
  }
  return {};
}

ImageHeader read_any(const Bytes& bytes) {
  if (bytes.matches(0, "\xFF\xD8\xFF")) return read_jpeg(bytes);
  if (bytes.matches(0, "\x89PNG\r\n\x1A\n")) return read_png(bytes);
  if (bytes.matches(0, "RIFF") && bytes.matches(8, "WEBP")) return read_webp(bytes);
  if (bytes.matches(0, "BM")) return read_bmp(bytes);
  if (bytes.matches(0, std::string_view("II*\0", 4)) || bytes.matches(0, std::string_view("MM\0*", 4))) {
    return read_tiff(bytes);
  }
  const std::string_view other = other_format(bytes);
  const std::string known(kFormats);
  if (!other.empty()) refuse("is " + std::string(other), "save it as " + known);
  refuse("is not a picture in a known format (" + known + ")");
}

}  // namespace

ImageHeader read_image_header(std::span<const std::byte> bytes) {
  if (bytes.empty()) refuse("the file is empty");
  const ImageHeader header = read_any(Bytes(bytes, true));
  if (header.width <= 0 || header.height <= 0) {
    refuse("the header gives a size of " + std::to_string(header.width) + " x " + std::to_string(header.height));
  }
  return header;
}

}  // namespace capture
