#include "record.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>

#include "capture/base/error.h"
#include "half.h"
#include "packed_strings.h"

namespace capture {

static_assert(std::endian::native == std::endian::little, "shards are little-endian");

namespace {

uint64_t round_up(uint64_t value, uint64_t step) {
  return (value + step - 1) / step * step;
}

[[noreturn]] void refuse(std::string what, std::string allowed = {}) {
  throw UserError({.what = std::move(what), .allowed = std::move(allowed)});
}

template <class T>
T read(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint32_t length32(size_t size, const char* what) {
  if (size > std::numeric_limits<uint32_t>::max()) refuse(std::string(what) + " is longer than 4 GB");
  return static_cast<uint32_t>(size);
}

void append_bytes(std::vector<std::byte>& out, std::string_view bytes) {
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  out.insert(out.end(), data, data + bytes.size());
}

/// Returns how many bytes were appended.
uint32_t append_strings(std::vector<std::byte>& out, const std::vector<std::string>& strings, const char* what) {
  const size_t start = out.size();
  for (const auto& text : strings) {
    const uint32_t length = length32(text.size(), what);
    append_bytes(out, {reinterpret_cast<const char*>(&length), sizeof length});
    append_bytes(out, text);
  }
  return length32(out.size() - start, what);
}

void put_values(const ShardLayout& layout, const std::vector<float>& values, std::byte* out) {
  if (layout.feature_type == FeatureType::float32) {
    std::copy(values.begin(), values.end(), reinterpret_cast<float*>(out));
  } else {
    float_to_half(values.data(), reinterpret_cast<uint16_t*>(out), values.size());
  }
}

void check_view(const ShardLayout& layout, const Regions& view) {
  const auto count = static_cast<uint64_t>(view.count());
  if (view.boxes.size() % 4 != 0)
    refuse("has boxes of " + std::to_string(view.boxes.size()) + " numbers", "4 a region");
  if (count < 1 || count > static_cast<uint64_t>(layout.max_regions)) {
    refuse("has " + std::to_string(count) + " regions", "1 to " + std::to_string(layout.max_regions));
  }
  const auto expect = [&](const char* what, size_t size, int64_t width) {
    const uint64_t allowed = count * static_cast<uint64_t>(width);
    if (size != allowed) {
      refuse("has " + std::to_string(size) + " " + what + " values for " + std::to_string(count) + " regions",
             std::to_string(allowed) + ", " + std::to_string(width) + " a region");
    }
  };
  expect("feature", view.features.size(), layout.feature_width);
  expect("class", view.classes.size(), layout.class_count);
  const auto sized = [](int64_t pixels) { return pixels >= 1 && pixels <= std::numeric_limits<int32_t>::max(); };
  if (!sized(view.image_width) || !sized(view.image_height)) {
    refuse(
        "has an image of " + std::to_string(view.image_width) + " by " + std::to_string(view.image_height) + " pixels",
        "1 to 2147483647");
  }
}

void put_view(const ShardLayout& layout, const RecordShape& shape, const Regions& view, uint64_t slot,
              std::byte* record) {
  const ViewHead head{static_cast<uint32_t>(view.image_width), static_cast<uint32_t>(view.image_height),
                      static_cast<uint32_t>(view.count()), 0};
  std::memcpy(record + shape.views + slot * sizeof head, &head, sizeof head);
  const uint64_t first = slot * static_cast<uint64_t>(layout.max_regions);
  std::memcpy(record + shape.boxes + first * 4 * sizeof(float), view.boxes.data(), view.boxes.size() * sizeof(float));
  const auto at = [&](uint64_t offset, int64_t width) {
    return record + offset + first * static_cast<uint64_t>(width) * shape.value_size;
  };
  put_values(layout, view.classes, at(shape.classes, layout.class_count));
  put_values(layout, view.features, at(shape.features, layout.feature_width));
}

}  // namespace

RecordShape record_shape(const ShardLayout& layout) {
  const auto views = static_cast<uint64_t>(layout.max_views);
  const uint64_t slots = views * static_cast<uint64_t>(layout.max_regions);
  RecordShape shape{};
  shape.value_size = layout.feature_type == FeatureType::float16 ? 2 : 4;
  shape.views = sizeof(RecordHead);
  shape.boxes = shape.views + views * sizeof(ViewHead);
  shape.classes = round_up(shape.boxes + slots * 4 * sizeof(float), 64);
  shape.features = round_up(shape.classes + slots * static_cast<uint64_t>(layout.class_count) * shape.value_size, 64);
  shape.bytes = round_up(shape.features + slots * static_cast<uint64_t>(layout.feature_width) * shape.value_size, 64);
  return shape;
}

void append_record(const ShardLayout& layout, const Sample& sample, uint64_t blob_offset,
                   std::vector<std::byte>& record, std::vector<std::byte>& blobs) {
  if (sample.titles.empty()) refuse("has no title", "at least one, which may be empty");
  if (sample.views.empty() || sample.views.size() > static_cast<size_t>(layout.max_views)) {
    refuse("has " + std::to_string(sample.views.size()) + " views", "1 to " + std::to_string(layout.max_views));
  }
  for (const auto& view : sample.views) check_view(layout, view);

  RecordHead head{};
  head.blob_offset = blob_offset;
  head.id_bytes = length32(sample.id.size(), "the id");
  append_bytes(blobs, sample.id);
  head.titles_bytes = append_strings(blobs, sample.titles, "the titles' text");
  head.labels_bytes = append_strings(blobs, sample.labels, "the labels' text");
  head.thumbnail_bytes = length32(sample.thumbnail.size(), "the thumbnail");
  append_bytes(blobs, sample.thumbnail);
  head.title_count = static_cast<uint32_t>(sample.titles.size());
  head.view_count = static_cast<uint32_t>(sample.views.size());

  const RecordShape shape = record_shape(layout);
  record.resize(record.size() + shape.bytes);
  std::byte* const start = record.data() + record.size() - shape.bytes;
  std::memcpy(start, &head, sizeof head);
  for (size_t slot = 0; slot < sample.views.size(); ++slot) put_view(layout, shape, sample.views[slot], slot, start);
}

SampleView view_record(const ShardLayout& layout, const std::byte* record, std::span<const std::byte> blobs) {
  const auto head = read<RecordHead>(record);
  // Four 32-bit lengths cannot overflow a 64-bit sum; the offset is compared without adding to it.
  const uint64_t bytes = uint64_t{head.id_bytes} + head.titles_bytes + head.labels_bytes + head.thumbnail_bytes;
  if (bytes > blobs.size() || head.blob_offset > blobs.size() - bytes) refuse("points outside the shard's texts");
  if (head.view_count < 1 || head.view_count > static_cast<uint64_t>(layout.max_views)) {
    refuse("claims " + std::to_string(head.view_count) + " views", "1 to " + std::to_string(layout.max_views));
  }
  const RecordShape shape = record_shape(layout);
  for (uint64_t slot = 0; slot < head.view_count; ++slot) {
    const auto view = read<ViewHead>(record + shape.views + slot * sizeof(ViewHead));
    if (view.regions < 1 || view.regions > static_cast<uint64_t>(layout.max_regions)) {
      refuse("claims " + std::to_string(view.regions) + " regions", "1 to " + std::to_string(layout.max_regions));
    }
    if (view.image_width < 1 || view.image_height < 1) refuse("claims an image without pixels");
  }

  auto blob = blobs.subspan(head.blob_offset, bytes);
  const auto take = [&](uint32_t length) {
    const auto part = blob.first(length);
    blob = blob.subspan(length);
    return part;
  };
  const auto text = [&](uint32_t length) {
    const auto part = take(length);
    return std::string_view(reinterpret_cast<const char*>(part.data()), part.size());
  };
  SampleView view;
  view.id_ = text(head.id_bytes);
  view.titles_ = text(head.titles_bytes);
  view.labels_ = text(head.labels_bytes);
  view.thumbnail_ = take(head.thumbnail_bytes);
  view.title_count_ = head.title_count;
  view.view_count_ = head.view_count;
  view.layout_ = &layout;
  view.record_ = record;
  int64_t titles = 0;
  if (!walk_strings(view.titles_, [&](std::string_view) { ++titles; }) || titles != view.title_count_ || titles < 1) {
    refuse("has titles whose lengths do not add up");
  }
  if (!walk_strings(view.labels_, [](std::string_view) {})) refuse("has labels whose lengths do not add up");
  return view;
}

}  // namespace capture
