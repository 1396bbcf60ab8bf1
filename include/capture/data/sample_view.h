// A stored sample, looked at in place: views into a shard's memory map, valid while the shard is open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace capture {

struct ShardLayout;

/// How features are stored. int8 is a float32 scale a region and whole numbers to be multiplied by it; class
/// probabilities stay float16 then.
enum class FeatureType { float16, float32, int8 };

/// What class probabilities are stored as beside features of this type.
constexpr FeatureType class_type(FeatureType features) {
  return features == FeatureType::int8 ? FeatureType::float16 : features;
}

/// Bytes of one number.
constexpr size_t value_size(FeatureType type) {
  return type == FeatureType::float32 ? 4 : type == FeatureType::float16 ? 2 : 1;
}

/// "float16", "float32" or "int8".
const char* name_of(FeatureType type);

/// The regions of one view of a sample.
struct RegionsView {
  int64_t image_width = 0;   ///< pixels
  int64_t image_height = 0;  ///< pixels
  int64_t count = 0;         ///< n
  int64_t feature_width = 0;
  int64_t class_count = 0;
  FeatureType feature_type = FeatureType::float16;
  std::span<const float> boxes;   ///< [n × 4] x1, y1, x2, y2 in pixels
  std::span<const float> scales;  ///< [n], for int8 alone: a stored number times its region's scale is the feature
  std::span<const std::byte> features;  ///< [n × D] of feature_type
  std::span<const std::byte> classes;   ///< [n × C] of class_type(feature_type); empty without class probabilities

  /// Region r's feature (D floats), or class probabilities (C floats), as float32.
  void copy_feature(int64_t region, float* out) const;
  void copy_classes(int64_t region, float* out) const;
  /// copy_feature that also adds the feature to `sum` (D floats), in one pass over memory.
  void copy_feature_and_add(int64_t region, float* out, float* sum) const;
  /// All features, [n × D].
  void copy_features(float* out) const;
};

/// The token ids of one title, read in place, without [CLS] and [SEP]. Every id is below the layout's vocabulary size.
class TokenIds {
 public:
  /// `stored` holds little-endian ids of `width` bytes, 2 or 4, at any address.
  TokenIds(std::string_view stored, size_t width) : stored_(stored), width_(width) {}

  int64_t size() const { return static_cast<int64_t>(stored_.size() / width_); }
  /// 0 <= index < size().
  int32_t operator[](int64_t index) const;
  /// Appends the first `limit` of them at most.
  void append_to(std::vector<int32_t>& ids, size_t limit = std::numeric_limits<size_t>::max()) const;

 private:
  std::string_view stored_;
  size_t width_;
};

struct Sample;

class SampleView {
 public:
  std::string_view id() const { return id_; }
  /// The first title.
  std::string_view title() const { return title(0); }
  std::string_view title(int64_t index) const;
  int64_t title_count() const { return title_count_; }
  std::vector<std::string_view> titles() const;
  /// The ids of a title, 0 <= title < title_count(); nothing when the shard stores none.
  std::optional<TokenIds> token_ids(int64_t title = 0) const;
  std::vector<std::string_view> labels() const;
  /// JPEG bytes, or empty.
  std::span<const std::byte> thumbnail() const { return thumbnail_; }

  int64_t view_count() const { return view_count_; }
  /// 0 <= view < view_count().
  RegionsView regions(int64_t view = 0) const;

  /// A copy that outlives the shard, numbers as float32.
  Sample copy() const;

  /// What the shard that holds it says of its samples.
  const ShardLayout& layout() const { return *layout_; }
  /// The record as it is stored.
  const std::byte* record() const { return record_; }

 private:
  friend SampleView view_record(const ShardLayout& layout, const std::byte* record, std::span<const std::byte> blobs);

  std::string_view id_;
  std::string_view titles_;  // each string behind its length, as stored
  std::string_view token_ids_;
  std::string_view labels_;
  std::span<const std::byte> thumbnail_;
  int64_t title_count_ = 0;
  int64_t view_count_ = 0;
  const ShardLayout* layout_ = nullptr;
  const std::byte* record_ = nullptr;
};

}  // namespace capture
