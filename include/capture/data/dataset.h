// A dataset: one shard, a folder of shards, or a list of either, read as one array of samples.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "capture/data/sample_view.h"
#include "capture/data/shard.h"

namespace capture {

/// Samples are numbered through the shards in order: as listed, and within a folder as its index.json names them, or by
/// name when it has none. Reading is thread-safe.
class Dataset {
 public:
  /// UserError when a path is neither a shard nor a folder with shards, when there is no shard at all, or when shards
  /// disagree in feature width or class count, or an index names a shard that is missing or was replaced. Warns when
  /// an index says that further shards are to come.
  explicit Dataset(const std::filesystem::path& path);
  explicit Dataset(const std::vector<std::filesystem::path>& paths);

  int64_t size() const { return starts_.back(); }
  int64_t feature_width() const;
  int64_t class_count() const;
  bool has_classes() const { return class_count() > 0; }
  int64_t max_regions() const { return max_regions_; }  ///< the largest of the shards'
  int64_t max_views() const { return max_views_; }
  /// Of the tokenizer whose ids every shard stores; "" when a shard stores none or they disagree.
  std::string tokenizer_fingerprint() const;
  const std::vector<Shard>& shards() const { return shards_; }
  /// How many samples each of the paths that the dataset was made of gave it.
  const std::vector<int64_t>& part_sizes() const { return part_sizes_; }

  /// 0 <= index < size(). UserError when the record is damaged.
  SampleView sample(int64_t index) const;
  void prefetch(int64_t index) const;

  /// "extract/train.capshard, sample 17", for messages.
  std::string where(int64_t index) const;

  /// Shard::verify of every shard, and that no id stands twice in the whole dataset.
  void verify(const std::function<void(const std::string&)>& problem, const std::function<void(int64_t)>& progress = {},
              int64_t threads = 1) const;

  /// A digest of the shards' checksums: equal for equal content, whatever the file names.
  std::string fingerprint() const;

 private:
  struct Place {
    const Shard& shard;
    int64_t index;
  };
  Place place(int64_t index) const;

  std::vector<Shard> shards_;
  std::vector<int64_t> starts_;  // of each shard, then the total
  std::vector<int64_t> part_sizes_;
  int64_t max_regions_ = 0;
  int64_t max_views_ = 0;
};

}  // namespace capture
