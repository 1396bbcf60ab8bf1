// Rows as the published files hold them, written by hand.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/base/base64.h"

namespace capture {

/// The fields of a TSV row, so that a test can spoil one of them.
struct TsvRow {
  std::string id = "item-1";
  std::string width = "640";
  std::string height = "480";
  std::string count = "3";
  std::string boxes = {};
  std::string features = {};
  std::string title = "爽肤水 120ml";

  std::string line() const {
    std::string text = id;
    for (const std::string* field : {&width, &height, &count, &boxes, &features, &title}) text += "\t" + *field;
    return text;
  }
};

inline std::string base64_of(const std::vector<float>& values) {
  return to_base64(std::as_bytes(std::span(values)));
}

/// A good row of `regions` boxes and `width` numbers a feature; `number` makes it differ from others.
inline TsvRow good_row(int64_t number = 1, int64_t regions = 3, int64_t width = 4) {
  std::vector<float> boxes;
  std::vector<float> features;
  for (int64_t r = 0; r < regions; ++r) {
    const auto x = static_cast<float>(r % 100);
    boxes.insert(boxes.end(), {x, x + 1, x + 100, x + 200.5F});
    for (int64_t k = 0; k < width; ++k) features.push_back(static_cast<float>((number * 31 + r * 7 + k) % 97) * 0.25F);
  }
  return {.id = "item-" + std::to_string(number),
          .count = std::to_string(regions),
          .boxes = base64_of(boxes),
          .features = base64_of(features)};
}

}  // namespace capture
