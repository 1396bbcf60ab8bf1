#include "capture/data/sample_view.h"

#include <algorithm>
#include <cstring>

#include "half.h"
#include "int8.h"
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

const char* name_of(FeatureType type) {
  switch (type) {
    case FeatureType::float16:
      return "float16";
    case FeatureType::float32:
      return "float32";
    case FeatureType::int8:
      return "int8";
  }
  return "";
}

void RegionsView::copy_feature(int64_t region, float* out) const {
  if (feature_type == FeatureType::int8) {
    int8_to_float(reinterpret_cast<const int8_t*>(features.data()) + region * feature_width,
                  scales[static_cast<size_t>(region)], out, static_cast<size_t>(feature_width));
    return;
  }
  copy_values(feature_type, features.data(), region * feature_width, feature_width, out);
}

void RegionsView::copy_classes(int64_t region, float* out) const {
  copy_values(class_type(feature_type), classes.data(), region * class_count, class_count, out);
}

void RegionsView::copy_features(float* out) const {
  for (int64_t r = 0; r < count; ++r) copy_feature(r, out + r * feature_width);
}

void RegionsView::copy_feature_and_add(int64_t region, float* out, float* sum) const {
  const auto size = static_cast<size_t>(feature_width);
  if (feature_type == FeatureType::float16) {
    half_to_float_and_add(reinterpret_cast<const uint16_t*>(features.data()) + region * feature_width, out, sum, size);
    return;
  }
  if (feature_type == FeatureType::int8) {
    int8_to_float_and_add(reinterpret_cast<const int8_t*>(features.data()) + region * feature_width,
                          scales[static_cast<size_t>(region)], out, sum, size);
    return;
  }
  copy_feature(region, out);
  for (size_t i = 0; i < size; ++i) sum[i] += out[i];
}

int32_t TokenIds::operator[](int64_t index) const {
  uint32_t id = 0;  // little-endian: two bytes fill the lower half
  std::memcpy(&id, stored_.data() + static_cast<size_t>(index) * width_, width_);
  return static_cast<int32_t>(id);
}

void TokenIds::append_to(std::vector<int32_t>& ids, size_t limit) const {
  const auto count = static_cast<int64_t>(std::min(limit, static_cast<size_t>(size())));
  for (int64_t i = 0; i < count; ++i) ids.push_back((*this)[i]);
}

std::string_view SampleView::title(int64_t index) const {
  return nth_string(titles_, index);
}

std::optional<TokenIds> SampleView::token_ids(int64_t title) const {
  const size_t width = layout_->tokenizer.id_bytes();
  if (width == 0) return {};
  return TokenIds(nth_string(token_ids_, title), width);
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

Sample SampleView::copy() const {
  Sample out;
  out.id = id_;
  for (const auto title : titles()) out.titles.emplace_back(title);
  for (const auto label : labels()) out.labels.emplace_back(label);
  out.thumbnail.assign(reinterpret_cast<const char*>(thumbnail_.data()), thumbnail_.size());
  for (int64_t title = 0; title < title_count_ && token_ids(title); ++title) {
    token_ids(title)->append_to(out.token_ids.emplace_back());
  }
  for (int64_t v = 0; v < view_count_; ++v) {
    const RegionsView stored = regions(v);
    Regions& view = out.views.emplace_back();
    view.image_width = stored.image_width;
    view.image_height = stored.image_height;
    view.boxes.assign(stored.boxes.begin(), stored.boxes.end());
    view.features.resize(static_cast<size_t>(stored.count * stored.feature_width));
    stored.copy_features(view.features.data());
    view.classes.resize(static_cast<size_t>(stored.count * stored.class_count));
    for (int64_t r = 0; r < stored.count; ++r) stored.copy_classes(r, view.classes.data() + r * stored.class_count);
  }
  return out;
}

RegionsView SampleView::regions(int64_t view) const {
  const RecordShape shape = record_shape(*layout_);
  const auto slot = static_cast<uint64_t>(view);
  ViewHead head;
  std::memcpy(&head, record_ + shape.views + slot * sizeof head, sizeof head);
  const uint64_t first = slot * static_cast<uint64_t>(layout_->max_regions);
  const auto values = [&](uint64_t offset, int64_t width, FeatureType type) {
    const uint64_t row = static_cast<uint64_t>(width) * value_size(type);
    return std::span(record_ + offset + first * row, head.regions * row);
  };
  const auto floats = [&](uint64_t offset, uint64_t width) {
    return std::span(reinterpret_cast<const float*>(record_ + offset) + first * width, head.regions * width);
  };
  RegionsView out;
  out.image_width = head.image_width;
  out.image_height = head.image_height;
  out.count = head.regions;
  out.feature_width = layout_->feature_width;
  out.class_count = layout_->class_count;
  out.feature_type = layout_->feature_type;
  // Records and their parts are aligned to 16 bytes at least, in the file and so in the page-aligned map.
  out.boxes = floats(shape.boxes, 4);
  if (out.feature_type == FeatureType::int8) out.scales = floats(shape.scales, 1);
  out.features = values(shape.features, layout_->feature_width, out.feature_type);
  out.classes = values(shape.classes, layout_->class_count, class_type(out.feature_type));
  return out;
}

}  // namespace capture
