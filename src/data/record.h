// One sample as bytes: where each part of a fixed-stride record lies, and what holds of every sample.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "capture/data/sample.h"
#include "capture/data/shard.h"

namespace capture {

inline constexpr std::array<char, 8> kShardMagic = {'C', 'A', 'P', 'S', 'H', 'A', 'R', 'D'};
inline constexpr uint64_t kShardAlignment = 4096;
inline constexpr uint64_t kChecksumBlockBytes = uint64_t{1} << 16;

/// The first bytes of a shard, little-endian like everything in it. The JSON header follows.
struct ShardPreamble {
  std::array<char, 8> magic;
  uint64_t json_bytes;
  uint64_t json_checksum;
  uint64_t file_bytes;
};
static_assert(sizeof(ShardPreamble) == 32);

/// The first bytes of a record. Its blob is id, titles, labels and thumbnail, one behind the other; titles and labels
/// are sequences of (uint32 length, bytes). Token ids follow the titles in their sequence, one string of ids a title.
struct RecordHead {
  uint64_t blob_offset;
  uint32_t id_bytes;
  uint32_t titles_bytes;
  uint32_t labels_bytes;
  uint32_t thumbnail_bytes;
  uint32_t title_count;
  uint32_t view_count;
};
static_assert(sizeof(RecordHead) == 32);

/// One a view slot, behind the record's head.
struct ViewHead {
  uint32_t image_width;
  uint32_t image_height;
  uint32_t regions;
  uint32_t zero;
};
static_assert(sizeof(ViewHead) == 16);

/// Offsets inside a record. With the ranges of ShardLayout::visit nothing here overflows.
struct RecordShape {
  uint64_t views;     // max_views × ViewHead
  uint64_t boxes;     // float32 [max_views, max_regions, 4]
  uint64_t classes;   // class_type [max_views, max_regions, class_count]
  uint64_t scales;    // float32 [max_views, max_regions], for int8 alone
  uint64_t features;  // feature_type [max_views, max_regions, feature_width]
  uint64_t bytes;     // the stride
};
RecordShape record_shape(const ShardLayout& layout);

/// The sample's record, whose blob_offset is 0, and its blob. UserError (no place named) when counts do not fit the
/// layout.
void write_record(const ShardLayout& layout, const Sample& sample, std::vector<std::byte>& record,
                  std::vector<std::byte>& blob);

/// The sample of a record, every count and offset checked against `layout` and `blobs`. UserError (no place named)
/// when one of them does not hold.
SampleView view_record(const ShardLayout& layout, const std::byte* record, std::span<const std::byte> blobs);

/// What is wrong with a sample whose counts and offsets hold (empty id, text that is not UTF-8, a box outside its
/// image, a value that is not finite), in words; empty when nothing is.
std::string find_problem(const SampleView& sample);

}  // namespace capture
