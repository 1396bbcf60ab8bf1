// Base64 (RFC 4648, with padding): how an image is written into a page, and how region features stand in text files.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace capture {

std::string to_base64(std::span<const std::byte> bytes);

/// How many bytes the text stands for; nothing when its length is not a multiple of 4.
std::optional<size_t> base64_bytes(std::string_view text);

/// Decodes into `out`, which has base64_bytes(text) bytes. Returns the position of the first character that cannot
/// stand where it does (no digit, padding before the end, a last digit with bits to spare), or npos when all is well.
size_t from_base64(std::string_view text, std::span<std::byte> out);

}  // namespace capture
