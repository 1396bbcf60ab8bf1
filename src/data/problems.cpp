// What must hold of a sample beyond its counts and offsets.
#include <cmath>
#include <string>
#include <string_view>

#include "capture/base/text_lines.h"
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

std::string region_problem(const RegionsView& view, int64_t region, std::vector<float>& values) {
  if (std::string problem = box_problem(view, region); !problem.empty()) return problem;
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
  if (view.feature_type == FeatureType::int8) {
    const float scale = view.scales[static_cast<size_t>(region)];
    return std::isfinite(scale) && scale >= 0 ? "" : "has a scale that is negative or not finite";
  }
  values.resize(static_cast<size_t>(view.feature_width));
  view.copy_feature(region, values.data());
  return check("feature");
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
  std::vector<float> values;
  for (int64_t v = 0; v < sample.view_count(); ++v) {
    const RegionsView view = sample.regions(v);
    for (int64_t r = 0; r < view.count; ++r) {
      const std::string problem = region_problem(view, r, values);
      if (problem.empty()) continue;
      const std::string which = sample.view_count() > 1 ? " of view " + std::to_string(v) : "";
      return "region " + std::to_string(r) + which + " " + problem;
    }
  }
  return {};
}

}  // namespace capture
