// Base64 (RFC 4648, with padding): how an image is written into a page.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace capture {

std::string to_base64(std::span<const std::byte> bytes);

}  // namespace capture
