#include "capture/data/dataset.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/data/shard_index.h"
#include "id_set.h"

namespace capture {

namespace {

/// "gallery, queries, train": the folders in a folder that are datasets, as in that of a synthetic world.
std::string datasets_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : entries_of(folder)) {
    if (is_there(entry / kShardIndexFile)) names.push_back(entry.filename());
  }
  std::ranges::sort(names);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

[[noreturn]] void fail_without_shards(const std::filesystem::path& folder) {
  const std::string inside = datasets_in(folder);
  throw UserError({.what = "the folder holds no shard",
                   .where = folder.string(),
                   .allowed = std::string("at least one *") + kShardSuffix + " file",
                   .hint = inside.empty() ? "make one with capture_data" : "name a folder in it that does: " + inside});
}

/// The shards of a folder with an index, which must be the very ones that it names.
void add_indexed(const std::filesystem::path& folder, std::vector<Shard>& shards) {
  const ShardIndex index = read_shard_index(folder);
  if (!index.complete) {
    log::warn("{}: still being written, or stopped before its end: {} samples so far", folder.string(), index.samples);
  }
  for (const ShardEntry& entry : index.shards) {
    const std::filesystem::path path = folder / entry.file;
    const auto refuse = [&](const char* what) {
      throw UserError({.what = what,
                       .where = path.string(),
                       .allowed = std::string("the shard that ") + kShardIndexFile + " names",
                       .hint = "fetch it again, or import again"});
    };
    std::error_code error;
    if (!std::filesystem::exists(path, error) && !error) refuse("is missing");
    const Shard& shard = shards.emplace_back(path);
    if (shard.size() != entry.samples || shard.header().checksums_checksum != entry.checksum) {
      refuse("is another shard than when the index was written");
    }
  }
  if (index.shards.empty()) fail_without_shards(folder);
}

/// The shards of a folder without an index, by name.
std::vector<std::filesystem::path> shards_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files = entries_of(folder);
  std::erase_if(files, [](const auto& file) { return file.extension() != kShardSuffix; });
  if (files.empty()) fail_without_shards(folder);
  std::ranges::sort(files);
  return files;
}

/// Appends the shards that `path` stands for: itself, or a folder's.
void add_shards(const std::filesystem::path& path, std::vector<Shard>& shards) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    if (std::filesystem::exists(path, error)) {
      shards.emplace_back(path);
      return;
    }
    if (error) throw UserError({.what = "cannot be looked at: " + error.message(), .where = path.string()});
    throw UserError({.what = "there is no such file or folder",
                     .where = path.string(),
                     .allowed = std::string("a *") + kShardSuffix + " file or a folder of them",
                     .hint = "make one with capture_data"});
  }
  if (std::filesystem::exists(path / kShardIndexFile, error)) {
    add_indexed(path, shards);
  } else {
    for (const auto& file : shards_in(path)) shards.emplace_back(file);
  }
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
    const size_t before = shards_.size();
    add_shards(path, shards_);
    part_sizes_.push_back(0);
    for (size_t i = before; i < shards_.size(); ++i) part_sizes_.back() += shards_[i].size();
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

std::string Dataset::tokenizer_fingerprint() const {
  const TokenizerMark& first = shards_.front().header().layout.tokenizer;
  const bool same =
      std::ranges::all_of(shards_, [&](const Shard& shard) { return shard.header().layout.tokenizer == first; });
  return same ? first.fingerprint : "";
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

void Dataset::verify(const std::function<void(const std::string&)>& problem,
                     const std::function<void(int64_t)>& progress, int64_t threads) const {
  IdSet seen;
  std::vector<std::pair<int64_t, int64_t>> repeated;  // a sample, and the first of its id
  for (size_t s = 0; s < shards_.size(); ++s) {
    const auto check_id = [&](int64_t index, uint64_t hash) {
      const int64_t place = starts_[s] + index;
      const auto equals = [&](int64_t known) { return sample(known).id() == sample(place).id(); };
      const std::optional<int64_t> first = seen.insert_unless(hash, place, equals);
      if (first) repeated.emplace_back(place, *first);
    };
    const auto report = [&](int64_t done) {
      if (progress) progress(starts_[s] + done);
    };
    shards_[s].verify(problem, {.threads = threads, .progress = report, .id = check_id});
  }
  for (const auto& [place, first] : repeated) {
    problem(where(place) + " (\"" + std::string(sample(place).id()) + "\"): has the id of " + where(first));
  }
}

std::string Dataset::fingerprint() const {
  std::string digests;
  for (const Shard& shard : shards_) digests += shard.header().checksums_checksum;
  return to_hex(checksum(digests));
}

}  // namespace capture
