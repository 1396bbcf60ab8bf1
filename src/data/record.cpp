#include "record.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "capture/base/error.h"
#include "half.h"
#include "int8.h"
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

void append_string(std::vector<std::byte>& out, std::string_view text, const char* what) {
  const uint32_t length = length32(text.size(), what);
  append_bytes(out, {reinterpret_cast<const char*>(&length), sizeof length});
  append_bytes(out, text);
}

/// One string of ids a title, each id as narrow as the vocabulary allows.
void append_token_ids(const TokenizerMark& mark, const Sample& sample, std::vector<std::byte>& out) {
  const size_t expected = mark.id_bytes() == 0 ? 0 : sample.titles.size();
  if (sample.token_ids.size() != expected) {
    refuse("has token ids for " + std::to_string(sample.token_ids.size()) + " titles", std::to_string(expected));
  }
  std::string packed;
  for (const auto& ids : sample.token_ids) {
    packed.clear();
    for (const int32_t id : ids) {
      if (id < 0 || id >= mark.vocabulary_size) {
        refuse("has the token id " + std::to_string(id), "0 to " + std::to_string(mark.vocabulary_size - 1));
      }
      packed.append(reinterpret_cast<const char*>(&id), mark.id_bytes());
    }
    append_string(out, packed, "a title's token ids");
  }
}

void put_values(FeatureType type, const std::vector<float>& values, std::byte* out) {
  if (type == FeatureType::float32) {
    std::copy(values.begin(), values.end(), reinterpret_cast<float*>(out));
  } else {
    float_to_half(values.data(), reinterpret_cast<uint16_t*>(out), values.size());
  }
}

void put_int8(int64_t width, const std::vector<float>& values, float* scales, std::byte* out) {
  const auto row = static_cast<size_t>(width);
  // A scale would not tell which number was at fault.
  const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (bad != values.end()) {
    const auto at = static_cast<size_t>(bad - values.begin());
    refuse("region " + std::to_string(at / row) + " has a feature value (number " + std::to_string(at % row) +
           ") that is " + (std::isnan(*bad) ? "not a number" : "infinite"));
  }
  for (size_t at = 0; at < values.size(); at += row) {
    *scales++ = quantise(&values[at], reinterpret_cast<int8_t*>(out) + at, row);
  }
}

void check_token_ids(const TokenizerMark& mark, std::string_view stored) {
  if (stored.size() % mark.id_bytes() != 0) refuse("has token ids whose lengths do not add up");
  const TokenIds ids(stored, mark.id_bytes());
  for (int64_t i = 0; i < ids.size(); ++i) {
    // As unsigned, a stored id past the range of int32 is no negative one.
    if (static_cast<uint32_t>(ids[i]) < static_cast<uint64_t>(mark.vocabulary_size)) continue;
    refuse("has the token id " + std::to_string(static_cast<uint32_t>(ids[i])),
           "0 to " + std::to_string(mark.vocabulary_size - 1));
  }
}

/// Checks a stored sequence of titles and, with a tokenizer, of their ids. Returns where the ids begin.
size_t walk_titles(const TokenizerMark& mark, uint64_t title_count, std::string_view stored) {
  uint64_t strings = 0;
  size_t titles_end = 0;
  const bool whole = walk_strings(stored, [&](std::string_view text) {
    if (strings++ >= title_count) {
      if (mark.id_bytes() > 0) check_token_ids(mark, text);
      return;
    }
    titles_end = static_cast<size_t>(text.data() + text.size() - stored.data());
  });
  const uint64_t expected = title_count * (mark.id_bytes() > 0 ? 2 : 1);
  if (!whole || strings != expected || title_count < 1) refuse("has titles whose lengths do not add up");
  return titles_end;
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
  const auto at = [&](uint64_t offset, int64_t width, size_t size) {
    return record + offset + first * static_cast<uint64_t>(width) * size;
  };
  const FeatureType type = layout.feature_type;
  const FeatureType classes = class_type(type);
  put_values(classes, view.classes, at(shape.classes, layout.class_count, value_size(classes)));
  std::byte* const features = at(shape.features, layout.feature_width, value_size(type));
  if (type == FeatureType::int8) {
    auto* const scales = reinterpret_cast<float*>(at(shape.scales, 1, sizeof(float)));
    put_int8(layout.feature_width, view.features, scales, features);
  } else {
    put_values(type, view.features, features);
  }
}

}  // namespace

RecordShape record_shape(const ShardLayout& layout) {
  const auto views = static_cast<uint64_t>(layout.max_views);
  const uint64_t slots = views * static_cast<uint64_t>(layout.max_regions);
  RecordShape shape{};
  shape.views = sizeof(RecordHead);
  shape.boxes = shape.views + views * sizeof(ViewHead);
  shape.classes = round_up(shape.boxes + slots * 4 * sizeof(float), 64);
  const uint64_t class_bytes = static_cast<uint64_t>(layout.class_count) * value_size(class_type(layout.feature_type));
  const uint64_t feature_bytes = static_cast<uint64_t>(layout.feature_width) * value_size(layout.feature_type);
  shape.scales = round_up(shape.classes + slots * class_bytes, 64);
  const uint64_t scale_bytes = layout.feature_type == FeatureType::int8 ? sizeof(float) : 0;
  shape.features = round_up(shape.scales + slots * scale_bytes, 64);
  shape.bytes = round_up(shape.features + slots * feature_bytes, 64);
  return shape;
}

void write_record(const ShardLayout& layout, const Sample& sample, std::vector<std::byte>& record,
                  std::vector<std::byte>& blob) {
  if (sample.titles.empty()) refuse("has no title", "at least one, which may be empty");
  if (sample.views.empty() || sample.views.size() > static_cast<size_t>(layout.max_views)) {
    refuse("has " + std::to_string(sample.views.size()) + " views", "1 to " + std::to_string(layout.max_views));
  }
  for (const auto& view : sample.views) check_view(layout, view);

  RecordHead head{};
  blob.clear();
  append_bytes(blob, sample.id);
  head.id_bytes = length32(blob.size(), "the id");
  size_t start = blob.size();
  for (const auto& title : sample.titles) append_string(blob, title, "a title");
  append_token_ids(layout.tokenizer, sample, blob);
  head.titles_bytes = length32(blob.size() - start, "the titles' text");
  start = blob.size();
  for (const auto& label : sample.labels) append_string(blob, label, "a label");
  head.labels_bytes = length32(blob.size() - start, "the labels' text");
  head.thumbnail_bytes = length32(sample.thumbnail.size(), "the thumbnail");
  append_bytes(blob, sample.thumbnail);
  head.title_count = static_cast<uint32_t>(sample.titles.size());
  head.view_count = static_cast<uint32_t>(sample.views.size());

  const RecordShape shape = record_shape(layout);
  record.assign(shape.bytes, std::byte{0});
  std::memcpy(record.data(), &head, sizeof head);
  for (size_t slot = 0; slot < sample.views.size(); ++slot) {
    put_view(layout, shape, sample.views[slot], slot, record.data());
  }
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
  const std::string_view titles = text(head.titles_bytes);
  view.labels_ = text(head.labels_bytes);
  view.thumbnail_ = take(head.thumbnail_bytes);
  view.title_count_ = head.title_count;
  view.view_count_ = head.view_count;
  view.layout_ = &layout;
  view.record_ = record;
  const size_t titles_end = walk_titles(layout.tokenizer, head.title_count, titles);
  view.titles_ = titles.substr(0, titles_end);
  view.token_ids_ = titles.substr(titles_end);
  if (!walk_strings(view.labels_, [](std::string_view) {})) refuse("has labels whose lengths do not add up");
  return view;
}

}  // namespace capture
