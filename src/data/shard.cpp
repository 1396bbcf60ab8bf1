#include "capture/data/shard.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "shard_impl.h"

namespace capture {

namespace {

constexpr int64_t kMost = int64_t{1} << 62;
constexpr const char* kRemake = "make the shard again, or fetch it again";

/// Everything that can be wrong with a header is wrong with this file.
class Opening {
 public:
  Opening(const std::filesystem::path& path, std::span<const std::byte> bytes) : path_(path), bytes_(bytes) {}

  ShardHeader read(Json& origin) {
    const std::string_view text = header_text();
    JsonDocument document = parse_json(text, path_.string());
    require(document.root.is_object() && document.root.value("format", Json()) == "capture shard",
            "has a header that is not a shard's");
    const Json version = document.root.value("version", Json(nullptr));
    if (version != kShardVersion) {
      throw UserError({.what = "is a shard of version " + version.dump().substr(0, 20),
                       .where = path_.string(),
                       .allowed = "version " + std::to_string(kShardVersion),
                       .hint = "make it again with this program's capture_data"});
    }
    origin = document.root.value("origin", Json::object());
    for (const char* key : {"format", "version", "origin"}) document.root.erase(key);
    ShardHeader header;
    read_options(document, header);
    check_places(header, text.size());
    return header;
  }

 private:
  void require(bool ok, const std::string& what) const {
    if (!ok) throw UserError({.what = what, .where = path_.string(), .hint = kRemake});
  }

  std::string_view header_text() const {
    ShardPreamble preamble;
    const bool whole = bytes_.size() >= sizeof preamble;
    if (whole) std::memcpy(&preamble, bytes_.data(), sizeof preamble);
    if (!whole || preamble.magic != kShardMagic) {
      throw UserError({.what = "is not a shard: it does not begin with \"CAPSHARD\"",
                       .where = path_.string(),
                       .allowed = "a *.capshard file, as capture_data writes it"});
    }
    require(preamble.file_bytes == bytes_.size(), "is cut short or damaged: it has " + std::to_string(bytes_.size()) +
                                                      " bytes, its header says " + std::to_string(preamble.file_bytes));
    const auto rest = bytes_.subspan(sizeof preamble);
    require(preamble.json_bytes <= rest.size(),
            "is damaged: its header claims " + std::to_string(preamble.json_bytes) + " bytes");
    const auto json = rest.first(preamble.json_bytes);
    require(checksum(json) == preamble.json_checksum, "is damaged: its header does not match its checksum");
    return {reinterpret_cast<const char*>(json.data()), json.size()};
  }

  /// The parts must lie end to end, each of the size that the counts ask for.
  void check_places(const ShardHeader& header, size_t json_bytes) const {
    const auto size = static_cast<int64_t>(bytes_.size());
    const auto stride = static_cast<int64_t>(record_shape(header.layout).bytes);
    require(header.record_bytes == stride, "is damaged: its records have " + std::to_string(header.record_bytes) +
                                               " bytes, its layout asks for " + std::to_string(stride));
    require(header.records_at == static_cast<int64_t>(sizeof(ShardPreamble) + json_bytes) &&
                header.records_at % static_cast<int64_t>(kShardAlignment) == 0,
            "is damaged: its records do not begin behind its header");
    // records_at is inside the file here, and dividing keeps a hostile count from overflowing the product.
    require(header.samples <= (size - header.records_at) / stride,
            "is damaged: it claims " + std::to_string(header.samples) + " samples, more than fit into its " +
                std::to_string(size) + " bytes");
    require(header.blobs_at == header.records_at + header.samples * stride && header.blobs_at <= header.checksums_at &&
                header.checksums_at <= size && header.checksums_at % 8 == 0,
            "is damaged: its parts do not follow one another");
    const int64_t block = header.checksum_block_bytes;
    const int64_t blocks = (header.checksums_at - header.records_at) / block +
                           ((header.checksums_at - header.records_at) % block != 0 ? 1 : 0);
    require((size - header.checksums_at) % 8 == 0 && (size - header.checksums_at) / 8 == blocks,
            "is damaged: its table of checksums has the wrong size");
  }

  const std::filesystem::path& path_;
  std::span<const std::byte> bytes_;
};

}  // namespace

void TokenizerMark::visit(FieldVisitor& f) {
  f.field("fingerprint", fingerprint, "Of the tokenizer that made the stored token ids.");
  f.field("vocabulary_size", vocabulary_size, "Token ids are below it; 0: none are stored.",
          {0, std::numeric_limits<int32_t>::max()});
}

void TokenizerMark::check(FieldChecker& c) const {
  c.require(fingerprint.empty() == (vocabulary_size == 0), "fingerprint", "is \"" + fingerprint + "\"",
            vocabulary_size == 0 ? "empty, as there is no vocabulary" : "the tokenizer's fingerprint");
}

void ShardLayout::visit(FieldVisitor& f) {
  f.field("feature_width", feature_width, "Numbers a region feature.", {1, 65536});
  f.field("max_regions", max_regions, "Region slots a view.", {1, 4096});
  f.field("max_views", max_views, "View slots a sample.", {1, 256});
  f.field("class_count", class_count, "Detector class probabilities a region; 0 without.", {0, 65536});
  f.choice("feature_type", feature_type, "How features and class probabilities are stored.",
           {{"float16", FeatureType::float16}, {"float32", FeatureType::float32}, {"int8", FeatureType::int8}});
  f.section("tokenizer", tokenizer, "Which tokenizer made the stored token ids.");
}

void ShardHeader::visit(FieldVisitor& f) {
  f.field("samples", samples, "Records.", {1, kMost});
  f.section("layout", layout, "What every sample has in common.");
  f.field("record_bytes", record_bytes, "Stride of the records.", {1, kMost});
  f.field("records_at", records_at, "Where the records begin.", {1, kMost});
  f.field("blobs_at", blobs_at, "Where the texts and thumbnails begin.", {1, kMost});
  f.field("checksums_at", checksums_at, "Where the block checksums begin.", {1, kMost});
  f.field("checksum_block_bytes", checksum_block_bytes, "Bytes that one checksum covers.", {4096, int64_t{1} << 30});
  f.field("checksums_checksum", checksums_checksum, "XXH3 of the table of block checksums.");
}

Shard::Shard(const std::filesystem::path& path) : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->file = MappedFile(path);
  impl_->header = Opening(path, impl_->file.bytes()).read(impl_->origin);
}

Shard::~Shard() = default;
Shard::Shard(Shard&&) noexcept = default;
Shard& Shard::operator=(Shard&&) noexcept = default;

const std::filesystem::path& Shard::path() const {
  return impl_->path;
}

const ShardHeader& Shard::header() const {
  return impl_->header;
}

const Json& Shard::origin() const {
  return impl_->origin;
}

SampleView Shard::sample(int64_t index) const {
  const ShardHeader& header = impl_->header;
  try {
    return view_record(header.layout, impl_->record(index).data(), impl_->bytes(header.blobs_at, header.checksums_at));
  } catch (const UserError& error) {
    throw UserError({.what = error.what(),
                     .where = impl_->where(index),
                     .hint = "the file is damaged: capture_data verify " + impl_->path.string()});
  }
}

void Shard::prefetch(int64_t index) const {
  impl_->file.prefetch(static_cast<size_t>(impl_->header.records_at + index * impl_->header.record_bytes),
                       static_cast<size_t>(impl_->header.record_bytes));
}

}  // namespace capture
