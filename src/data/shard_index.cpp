#include "capture/data/shard_index.h"

#include <numeric>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/data/shard.h"

namespace capture {

namespace {

constexpr const char* kFormat = "capture shard index";
constexpr int64_t kMost = int64_t{1} << 62;

void check(const std::filesystem::path& path, const ShardIndex& index) {
  int64_t samples = 0;
  for (const ShardEntry& entry : index.shards) {
    const std::filesystem::path name = entry.file;
    if (name.filename() != name || name.extension() != kShardSuffix) {
      throw UserError({.what = "names the shard " + to_line(entry.file),
                       .where = path.string(),
                       .allowed = std::string("names of *") + kShardSuffix + " files beside the index"});
    }
    samples += entry.samples;
  }
  if (samples == index.samples) return;
  throw UserError({.what = "is damaged: it counts " + std::to_string(index.samples) + " samples, its shards have " +
                           std::to_string(samples),
                   .where = path.string(),
                   .hint = "import again"});
}

}  // namespace

void ShardEntry::visit(FieldVisitor& f) {
  f.field("file", file, "Name in the folder.");
  // So small that the sum over any list that fits into memory does not overflow.
  f.field("samples", samples, "Records.", {1, int64_t{1} << 40});
  f.field("bytes", bytes, "Size of the file.", {1, kMost});
  f.field("checksum", checksum, "checksums_checksum of its header.");
}

void ShardIndex::visit(FieldVisitor& f) {
  f.field("complete", complete, "Whether no further shards are to come.");
  f.field("samples", samples, "Records of all shards.", {0, kMost});
  f.list("shards", shards, "In the order of their samples.");
}

ShardIndex read_shard_index(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kShardIndexFile;
  JsonDocument document = read_json(path);
  if (!document.root.is_object() || document.root.value("format", Json()) != kFormat) {
    throw UserError({.what = "is not the index of a folder of shards", .where = path.string()});
  }
  const Json version = document.root.value("version", Json());
  if (version != kShardIndexVersion) {
    throw UserError({.what = "is an index of version " + version.dump().substr(0, 20),
                     .where = path.string(),
                     .allowed = "version " + std::to_string(kShardIndexVersion)});
  }
  ShardIndex index;
  index.making = document.root.value("making", Json());
  for (const char* key : {"format", "version", "making"}) document.root.erase(key);
  read_options(document, index);
  check(path, index);
  return index;
}

void write_shard_index(const std::filesystem::path& folder, const ShardIndex& index) {
  Json json = Json::object();
  json["format"] = kFormat;
  json["version"] = kShardIndexVersion;
  json.update(to_json(index));
  if (!index.complete) json["making"] = index.making;
  write_file(folder / kShardIndexFile, to_text(json));
}

}  // namespace capture
