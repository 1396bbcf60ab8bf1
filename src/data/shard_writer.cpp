#include "capture/data/shard_writer.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "capture/base/bulk_file.h"
#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/running_checksum.h"
#include "record.h"

namespace capture {

namespace {

/// The part of a shard that block checksums cover.
class Blocks {
 public:
  explicit Blocks(BulkFile& file) : file_(file) {}

  void write(std::span<const std::byte> bytes) {
    file_.write(bytes);
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min<size_t>(bytes.size(), kChecksumBlockBytes - used_));
      sum_.add(part);
      used_ += part.size();
      bytes = bytes.subspan(part.size());
      if (used_ == kChecksumBlockBytes) end_block();
    }
  }

  /// Ends the last block.
  void flush() {
    if (used_ > 0) end_block();
  }

  std::span<const std::byte> checksums() const { return std::as_bytes(std::span(checksums_)); }

 private:
  void end_block() {
    checksums_.push_back(sum_.value());
    sum_.restart();
    used_ = 0;
  }

  BulkFile& file_;
  RunningChecksum sum_;  // of the block that has begun
  size_t used_ = 0;      // bytes of it
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

  /// All that stands before the first record.
  std::string head() const {
    std::string json = header_text(header, origin);
    json.resize(static_cast<size_t>(header.records_at) - sizeof(ShardPreamble), ' ');
    const ShardPreamble preamble{kShardMagic, json.size(), checksum(json), file.size()};
    return std::string(reinterpret_cast<const char*>(&preamble), sizeof preamble) + json;
  }

  std::filesystem::path path;
  Json origin;
  ShardHeader header;
  BulkFile file;
  Blocks blocks;
  std::vector<std::byte> blobs;
  std::unordered_set<std::string> ids;
};

ShardWriter::ShardWriter(std::filesystem::path path, const ShardLayout& layout, Json origin)
    : impl_(std::make_unique<Impl>(std::move(path), layout, std::move(origin))) {}

ShardWriter::~ShardWriter() = default;

int64_t ShardWriter::size() const {
  return impl_->header.samples;
}

int64_t ShardWriter::bytes() const {
  const ShardHeader& header = impl_->header;
  return header.records_at + header.samples * header.record_bytes + static_cast<int64_t>(impl_->blobs.size());
}

void ShardWriter::add(const Sample& sample) {
  add(encode(impl_->header.layout, sample));
}

void ShardWriter::add(EncodedSample sample) {
  Impl& shard = *impl_;
  if (sample.record.size() != static_cast<size_t>(shard.header.record_bytes)) {
    throw std::logic_error("a sample was encoded for another layout than its shard's");
  }
  if (!shard.ids.insert(sample.id).second) {
    throw UserError(
        {.what = "was added before", .where = "sample \"" + sample.id + "\"", .allowed = "ids that differ"});
  }
  const uint64_t blob_offset = shard.blobs.size();
  std::memcpy(sample.record.data() + offsetof(RecordHead, blob_offset), &blob_offset, sizeof blob_offset);
  shard.blobs.insert(shard.blobs.end(), sample.blob.begin(), sample.blob.end());
  shard.blocks.write(sample.record);
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
  const std::string head = shard.head();
  shard.file.commit(std::as_bytes(std::span(head)));
}

}  // namespace capture
