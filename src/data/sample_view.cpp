#include "capture/data/sample_view.h"

#include <cstring>

#include "half.h"
#include "packed_strings.h"
#include "record.h"

namespace capture {

namespace {

void copy_values(FeatureType type, const std::byte* values, int64_t first, int64_t count, float* out) {
  const auto size = static_cast<size_t>(count);
  if (type == FeatureType::float16) {
    half_to_float(reinterpret_cast<const uint16_t*>(values) + first, out, size);
  } else if (size > 0) {
    std::memcpy(out, reinterpret_cast<const float*>(values) + first, size * sizeof(float));
  }
}

}  // namespace

void RegionsView::copy_feature(int64_t region, float* out) const {
  copy_values(feature_type, features.data(), region * feature_width, feature_width, out);
}

void RegionsView::copy_classes(int64_t region, float* out) const {
  copy_values(feature_type, classes.data(), region * class_count, class_count, out);
}

void RegionsView::copy_features(float* out) const {
  copy_values(feature_type, features.data(), 0, count * feature_width, out);
}

void RegionsView::copy_feature_and_add(int64_t region, float* out, float* sum) const {
  const auto size = static_cast<size_t>(feature_width);
  if (feature_type == FeatureType::float16) {
    half_to_float_and_add(reinterpret_cast<const uint16_t*>(features.data()) + region * feature_width, out, sum, size);
    return;
  }
  copy_feature(region, out);
  for (size_t i = 0; i < size; ++i) sum[i] += out[i];
}

std::string_view SampleView::title(int64_t index) const {
  std::string_view found;
  walk_strings(titles_, [&](std::string_view title) {
    if (index-- == 0) found = title;
  });
  return found;
}

std::vector<std::string_view> SampleView::titles() const {
  std::vector<std::string_view> all;
  walk_strings(titles_, [&](std::string_view title) { all.push_back(title); });
  return all;
}

std::vector<std::string_view> SampleView::labels() const {
  std::vector<std::string_view> all;
  walk_strings(labels_, [&](std::string_view label) { all.push_back(label); });
  return all;
}

RegionsView SampleView::regions(int64_t view) const {
  const RecordShape shape = record_shape(*layout_);
  const auto slot = static_cast<uint64_t>(view);
  ViewHead head;
  std::memcpy(&head, record_ + shape.views + slot * sizeof head, sizeof head);
  const uint64_t first = slot * static_cast<uint64_t>(layout_->max_regions);
  const auto values = [&](uint64_t offset, int64_t width) {
    const uint64_t row = static_cast<uint64_t>(width) * shape.value_size;
    return std::span(record_ + offset + first * row, head.regions * row);
  };
  RegionsView out;
  out.image_width = head.image_width;
  out.image_height = head.image_height;
  out.count = head.regions;
  out.feature_width = layout_->feature_width;
  out.class_count = layout_->class_count;
  out.feature_type = layout_->feature_type;
  // Records and their parts are aligned to 16 bytes at least, in the file and so in the page-aligned map.
  out.boxes = {reinterpret_cast<const float*>(record_ + shape.boxes) + first * 4, head.regions * size_t{4}};
  out.features = values(shape.features, layout_->feature_width);
  out.classes = values(shape.classes, layout_->class_count);
  return out;
}

}  // namespace capture
