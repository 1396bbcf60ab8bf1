// What must hold of a sample beyond its counts and offsets.
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "capture/base/text_lines.h"
#include "half.h"
#include "record.h"

namespace capture {

namespace {

std::string box_problem(const RegionsView& view, int64_t region) {
  // Detectors round outwards; a pixel is forgiven.
  constexpr float kSlack = 1.0F;
  const auto box = view.boxes.subspan(static_cast<size_t>(region) * 4, 4);
  const bool inside = box[0] >= -kSlack && box[1] >= -kSlack && box[0] <= box[2] && box[1] <= box[3] &&
                      box[2] <= static_cast<float>(view.image_width) + kSlack &&
                      box[3] <= static_cast<float>(view.image_height) + kSlack;
  if (inside) return {};
  std::string text = "has the box (";
  for (size_t k = 0; k < 4; ++k) text += (k == 0 ? "" : ", ") + Json(box[k]).dump();
  return text + ") in an image of " + std::to_string(view.image_width) + " by " + std::to_string(view.image_height);
}

bool finite(FeatureType type, std::span<const std::byte> numbers) {
  const size_t count = numbers.size() / value_size(type);
  if (type == FeatureType::float32) return all_finite(reinterpret_cast<const float*>(numbers.data()), count);
  return all_finite(reinterpret_cast<const uint16_t*>(numbers.data()), count);
}

/// Which number of the region is not finite.
std::string value_problem(const RegionsView& view, int64_t region) {
  std::vector<float> values;
  const auto check = [&](const char* what) -> std::string {
    for (size_t k = 0; k < values.size(); ++k) {
      if (std::isfinite(values[k])) continue;
      return std::string("has a ") + what + " value (number " + std::to_string(k) + ") that is " +
             (std::isnan(values[k]) ? "not a number" : "infinite or beyond the range of float16");
    }
    return {};
  };
  values.resize(static_cast<size_t>(view.class_count));
  view.copy_classes(region, values.data());
  if (std::string problem = check("class"); !problem.empty()) return problem;
  if (view.feature_type == FeatureType::int8) return {};
  values.resize(static_cast<size_t>(view.feature_width));
  view.copy_feature(region, values.data());
  return check("feature");
}

/// `which` view it is, for words.
std::string view_problem(const RegionsView& view, const std::string& which) {
  // All numbers at once first; only where one is odd, which.
  const bool whole = view.feature_type == FeatureType::int8;
  const bool odd =
      !finite(class_type(view.feature_type), view.classes) || (!whole && !finite(view.feature_type, view.features));
  for (int64_t r = 0; r < view.count; ++r) {
    std::string problem = box_problem(view, r);
    if (problem.empty() && odd) problem = value_problem(view, r);
    if (problem.empty() && whole) {
      const float scale = view.scales[static_cast<size_t>(r)];
      if (!std::isfinite(scale) || scale < 0) problem = "has a scale that is negative or not finite";
    }
    if (!problem.empty()) return "region " + std::to_string(r) + which + " " + problem;
  }
  return {};
}

std::string text_problem(const SampleView& sample) {
  if (sample.id().empty()) return "has an empty id";
  if (!is_utf8(sample.id())) return "has an id that is not UTF-8";
  for (const auto title : sample.titles()) {
    if (!is_utf8(title)) return "has a title that is not UTF-8";
  }
  for (const auto label : sample.labels()) {
    if (label.empty() || !is_utf8(label)) return "has a label that is empty or not UTF-8";
  }
  const auto jpeg = sample.thumbnail();
  if (!jpeg.empty() && (jpeg.size() < 3 || jpeg[0] != std::byte{0xFF} || jpeg[1] != std::byte{0xD8})) {
    return "has a thumbnail that is not JPEG";
  }
  return {};
}

}  // namespace

std::string find_problem(const SampleView& sample) {
  if (std::string problem = text_problem(sample); !problem.empty()) return problem;
  for (int64_t v = 0; v < sample.view_count(); ++v) {
    const std::string which = sample.view_count() > 1 ? " of view " + std::to_string(v) : "";
    if (std::string problem = view_problem(sample.regions(v), which); !problem.empty()) return problem;
  }
  return {};
}

}  // namespace capture
