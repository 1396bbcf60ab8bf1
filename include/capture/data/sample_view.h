// A stored sample, looked at in place: views into a shard's memory map, valid while the shard is open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace capture {

struct ShardLayout;

enum class FeatureType { float16, float32 };

/// The regions of one view of a sample.
struct RegionsView {
  int64_t image_width = 0;   ///< pixels
  int64_t image_height = 0;  ///< pixels
  int64_t count = 0;         ///< n
  int64_t feature_width = 0;
  int64_t class_count = 0;
  FeatureType feature_type = FeatureType::float16;
  std::span<const float> boxes;         ///< [n × 4] x1, y1, x2, y2 in pixels
  std::span<const std::byte> features;  ///< [n × D] of feature_type
  std::span<const std::byte> classes;   ///< [n × C] of feature_type; empty without class probabilities

  /// Region r's feature (D floats), or class probabilities (C floats), as float32.
  void copy_feature(int64_t region, float* out) const;
  void copy_classes(int64_t region, float* out) const;
  /// copy_feature that also adds the feature to `sum` (D floats), in one pass over memory.
  void copy_feature_and_add(int64_t region, float* out, float* sum) const;
  /// All features, [n × D].
  void copy_features(float* out) const;
};

class SampleView {
 public:
  std::string_view id() const { return id_; }
  /// The first title.
  std::string_view title() const { return title(0); }
  std::string_view title(int64_t index) const;
  int64_t title_count() const { return title_count_; }
  std::vector<std::string_view> titles() const;
  std::vector<std::string_view> labels() const;
  /// JPEG bytes, or empty.
  std::span<const std::byte> thumbnail() const { return thumbnail_; }

  int64_t view_count() const { return view_count_; }
  /// 0 <= view < view_count().
  RegionsView regions(int64_t view = 0) const;

 private:
  friend SampleView view_record(const ShardLayout& layout, const std::byte* record, std::span<const std::byte> blobs);

  std::string_view id_;
  std::string_view titles_;  // each string behind its length, as stored
  std::string_view labels_;
  std::span<const std::byte> thumbnail_;
  int64_t title_count_ = 0;
  int64_t view_count_ = 0;
  const ShardLayout* layout_ = nullptr;
  const std::byte* record_ = nullptr;
};

}  // namespace capture
