// Items of a report for tests.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/report/report.h"

namespace capture::testing {

inline constexpr std::string_view kJpeg = "\xFF\xD8\xFF\xE0 a photo";

inline std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

inline ReportItem item(std::string id, std::vector<std::string> labels, std::string_view photo = kJpeg) {
  return {.id = id, .title = "Title of " + id, .labels = std::move(labels), .thumbnail = bytes(photo)};
}

}  // namespace capture::testing
