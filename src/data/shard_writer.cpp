#include "capture/data/shard_writer.h"

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "record.h"

namespace capture {

namespace {

/// The part of a shard that block checksums cover, written a block at a time.
class Blocks {
 public:
  explicit Blocks(AtomicFile& file) : file_(file) { block_.reserve(kChecksumBlockBytes); }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min(bytes.size(), kChecksumBlockBytes - block_.size()));
      block_.insert(block_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (block_.size() == kChecksumBlockBytes) flush();
    }
  }

  /// Ends the last block.
  void flush() {
    if (block_.empty()) return;
    checksums_.push_back(checksum(block_));
    file_.write(block_);
    block_.clear();
  }

  std::span<const std::byte> checksums() const { return std::as_bytes(std::span(checksums_)); }

 private:
  AtomicFile& file_;
  std::vector<std::byte> block_;
  std::vector<uint64_t> checksums_;
};

std::filesystem::path checked(std::filesystem::path path, const ShardLayout& layout) {
  if (path.extension() != kShardSuffix) {
    throw UserError({.what = "is no name for a shard",
                     .where = path.string(),
                     .allowed = std::string("a name that ends in ") + kShardSuffix});
  }
  // Writing the layout as JSON and reading it back holds it against its own ranges.
  ShardLayout ranged;
  read_options(parse_json(to_line(to_json(layout)), path.string()), ranged);
  return path;
}

std::string header_text(const ShardHeader& header, const Json& origin) {
  Json json = Json::object();
  json["format"] = "capture shard";
  json["version"] = kShardVersion;
  json.update(to_json(header));
  json["origin"] = origin;
  return to_text(json);
}

uint64_t round_up(uint64_t value, uint64_t step) {
  return (value + step - 1) / step * step;
}

}  // namespace

struct ShardWriter::Impl {
  Impl(std::filesystem::path where, const ShardLayout& layout, Json origin_given)
      : path(checked(std::move(where), layout)), origin(std::move(origin_given)), file(path), blocks(file) {
    header.layout = layout;
    header.record_bytes = static_cast<int64_t>(record_shape(layout).bytes);
    header.checksum_block_bytes = static_cast<int64_t>(kChecksumBlockBytes);
    // The header is filled in at the end; room is left for the longest numbers that it can hold.
    constexpr uint64_t kRoomForNumbers = 256;
    header.records_at = static_cast<int64_t>(
        round_up(sizeof(ShardPreamble) + header_text(header, origin).size() + kRoomForNumbers, kShardAlignment));
    file.write(std::string(static_cast<size_t>(header.records_at), '\0'));
  }

  void write_header() {
    std::string json = header_text(header, origin);
    json.resize(static_cast<size_t>(header.records_at) - sizeof(ShardPreamble), ' ');
    const ShardPreamble preamble{kShardMagic, json.size(), checksum(json), file.size()};
    file.write_at(0, std::as_bytes(std::span(&preamble, 1)));
    file.write_at(sizeof preamble, std::as_bytes(std::span(json)));
  }

  std::filesystem::path path;
  Json origin;
  ShardHeader header;
  AtomicFile file;
  Blocks blocks;
  std::vector<std::byte> record;
  std::vector<std::byte> blobs;
  std::unordered_set<std::string> ids;
};

ShardWriter::ShardWriter(std::filesystem::path path, const ShardLayout& layout, Json origin)
    : impl_(std::make_unique<Impl>(std::move(path), layout, std::move(origin))) {}

ShardWriter::~ShardWriter() = default;

int64_t ShardWriter::size() const {
  return impl_->header.samples;
}

void ShardWriter::add(const Sample& sample) {
  Impl& shard = *impl_;
  const ShardLayout& layout = shard.header.layout;
  const size_t blobs_before = shard.blobs.size();
  try {
    shard.record.clear();
    append_record(layout, sample, blobs_before, shard.record, shard.blobs);
    // What was encoded is looked at as a reader will see it, so that writer and verify cannot disagree.
    const std::string problem = find_problem(view_record(layout, shard.record.data(), shard.blobs));
    if (!problem.empty()) throw UserError({.what = problem});
    if (shard.ids.contains(sample.id)) throw UserError({.what = "was added before", .allowed = "ids that differ"});
  } catch (const UserError& error) {
    shard.blobs.resize(blobs_before);
    throw UserError({.what = error.what(), .where = "sample \"" + sample.id + "\""});
  }
  shard.blocks.write(shard.record);
  shard.ids.insert(sample.id);
  ++shard.header.samples;
}

void ShardWriter::finish() {
  Impl& shard = *impl_;
  ShardHeader& header = shard.header;
  if (header.samples == 0) throw UserError({.what = "there is no sample to write", .where = shard.path.string()});
  header.blobs_at = header.records_at + header.samples * header.record_bytes;
  shard.blobs.resize(round_up(shard.blobs.size(), 8));
  shard.blocks.write(shard.blobs);
  shard.blocks.flush();
  header.checksums_at = static_cast<int64_t>(shard.file.size());
  header.checksums_checksum = to_hex(checksum(shard.blocks.checksums()));
  shard.file.write(shard.blocks.checksums());
  shard.write_header();
  shard.file.commit();
}

}  // namespace capture
