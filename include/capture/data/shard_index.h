// index.json: which shards a folder holds, written by ShardSetWriter and held against the files by Dataset.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "capture/base/fields.h"
#include "capture/base/json.h"

namespace capture {

inline constexpr int64_t kShardIndexVersion = 1;
inline constexpr const char* kShardIndexFile = "index.json";

/// One shard of a folder.
struct ShardEntry {
  std::string file = {};  ///< its name in the folder
  int64_t samples = 0;
  int64_t bytes = 0;          ///< of the file
  std::string checksum = {};  ///< its header's checksums_checksum

  void visit(FieldVisitor& f);
  bool operator==(const ShardEntry&) const = default;
};

struct ShardIndex {
  bool complete = false;  ///< false while further shards are to come
  int64_t samples = 0;    ///< of all shards
  std::vector<ShardEntry> shards = {};
  Json making = nullptr;  ///< while incomplete: what the set is made from, and how far that got (ShardSetWriter)

  void visit(FieldVisitor& f);
};

/// The folder's index. UserError, naming the file, when it is of another version, contradicts itself, or names files
/// outside the folder.
ShardIndex read_shard_index(const std::filesystem::path& folder);

/// Replaces the folder's index at once.
void write_shard_index(const std::filesystem::path& folder, const ShardIndex& index);

}  // namespace capture
