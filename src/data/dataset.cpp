#include "capture/data/dataset.h"

#include <algorithm>

#include "capture/base/error.h"
#include "capture/base/files.h"

namespace capture {

namespace {

/// The shards that `path` stands for: itself, or a folder's by name.
std::vector<std::filesystem::path> shard_files(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    if (std::filesystem::exists(path, error)) return {path};
    throw UserError({.what = "there is no such file or folder",
                     .where = path.string(),
                     .allowed = std::string("a *") + kShardSuffix + " file or a folder of them",
                     .hint = "make one with capture_data"});
  }
  std::vector<std::filesystem::path> files;
  for (auto entry = std::filesystem::directory_iterator(path, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() == kShardSuffix) files.push_back(entry->path());
  }
  if (error) throw UserError({.what = "cannot read the folder: " + error.message(), .where = path.string()});
  if (files.empty()) {
    throw UserError({.what = "the folder holds no shard",
                     .where = path.string(),
                     .allowed = std::string("at least one *") + kShardSuffix + " file",
                     .hint = "make one with capture_data"});
  }
  std::ranges::sort(files);
  return files;
}

void require_equal(const Shard& first, const Shard& other, const char* what, int64_t expected, int64_t found) {
  if (expected == found) return;
  throw UserError({.what = "has the " + std::string(what) + " " + std::to_string(found) + ", but " +
                           first.path().string() + " has " + std::to_string(expected),
                   .where = other.path().string(),
                   .allowed = "shards that agree",
                   .hint = "name only shards of one kind"});
}

}  // namespace

Dataset::Dataset(const std::filesystem::path& path) : Dataset(std::vector<std::filesystem::path>{path}) {}

Dataset::Dataset(const std::vector<std::filesystem::path>& paths) : starts_{0} {
  for (const auto& path : paths) {
    for (const auto& file : shard_files(path)) shards_.emplace_back(file);
  }
  if (shards_.empty()) throw UserError({.what = "a dataset needs at least one shard, none was named"});
  for (const Shard& shard : shards_) {
    const ShardLayout& layout = shard.header().layout;
    const ShardLayout& first = shards_.front().header().layout;
    require_equal(shards_.front(), shard, "feature width", first.feature_width, layout.feature_width);
    require_equal(shards_.front(), shard, "class count", first.class_count, layout.class_count);
    starts_.push_back(starts_.back() + shard.size());
    max_regions_ = std::max(max_regions_, layout.max_regions);
    max_views_ = std::max(max_views_, layout.max_views);
  }
}

int64_t Dataset::feature_width() const {
  return shards_.front().header().layout.feature_width;
}

int64_t Dataset::class_count() const {
  return shards_.front().header().layout.class_count;
}

Dataset::Place Dataset::place(int64_t index) const {
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), index);
  const auto shard = static_cast<size_t>(next - starts_.begin()) - 1;
  return {shards_[shard], index - starts_[shard]};
}

SampleView Dataset::sample(int64_t index) const {
  const Place at = place(index);
  return at.shard.sample(at.index);
}

void Dataset::prefetch(int64_t index) const {
  const Place at = place(index);
  at.shard.prefetch(at.index);
}

std::string Dataset::where(int64_t index) const {
  const Place at = place(index);
  return at.shard.path().string() + ", sample " + std::to_string(at.index);
}

std::string Dataset::fingerprint() const {
  std::string digests;
  for (const Shard& shard : shards_) digests += shard.header().checksums_checksum;
  return to_hex(checksum(digests));
}

}  // namespace capture
