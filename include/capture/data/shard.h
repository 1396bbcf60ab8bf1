// The shard file (*.capshard): a memory-mapped array of fixed-stride sample records, and the bytes of variable length
// behind them. docs/shards.md describes it byte by byte.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "capture/base/fields.h"
#include "capture/base/json.h"
#include "capture/data/sample_view.h"

namespace capture {

inline constexpr int64_t kShardVersion = 1;
inline constexpr const char* kShardSuffix = ".capshard";

/// Which tokenizer made the token ids that a shard stores beside its titles.
struct TokenizerMark {
  std::string fingerprint = {};  ///< Tokenizer::fingerprint()
  int64_t vocabulary_size = 0;   ///< ids are below it; 0: the shard stores none

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
  bool operator==(const TokenizerMark&) const = default;

  /// Bytes of a stored id: 0 without ids, 2 where they suffice for the vocabulary, else 4.
  size_t id_bytes() const { return vocabulary_size == 0 ? 0 : vocabulary_size <= 65536 ? 2 : 4; }
};

/// What every sample of a shard has in common; it fixes the size of a record.
struct ShardLayout {
  int64_t feature_width = 0;  ///< D
  int64_t max_regions = 36;   ///< region slots a view
  int64_t max_views = 1;      ///< view slots a sample
  int64_t class_count = 0;    ///< C, 0 without class probabilities
  FeatureType feature_type = FeatureType::float16;
  TokenizerMark tokenizer = {};  ///< of the token ids, if they are stored

  void visit(FieldVisitor& f);
  bool operator==(const ShardLayout&) const = default;
};

/// The header's numbers.
struct ShardHeader {
  ShardLayout layout;
  int64_t samples = 0;
  int64_t record_bytes = 0;
  int64_t records_at = 0;  ///< offsets count from the start of the file
  int64_t blobs_at = 0;
  int64_t checksums_at = 0;
  int64_t checksum_block_bytes = 0;
  std::string checksums_checksum;  ///< of the table of block checksums, 16 hexadecimal digits

  void visit(FieldVisitor& f);
};

struct VerifyOptions {
  int64_t threads = 1;
  std::function<void(int64_t)> progress = {};  ///< told the number of samples done
  /// Told of every sample that can be read: its index and checksum(id).
  std::function<void(int64_t, uint64_t)> id = {};
};

/// One shard, opened for reading. Opening checks the header and every size in it against the file; a sample's own
/// counts and offsets are checked when it is looked at, so that no content of a file can lead outside the map.
class Shard {
 public:
  /// UserError naming the file when it is no shard, of another version, cut short or contradicts itself.
  explicit Shard(const std::filesystem::path& path);
  ~Shard();
  Shard(Shard&&) noexcept;
  Shard& operator=(Shard&&) noexcept;

  const std::filesystem::path& path() const;
  const ShardHeader& header() const;
  /// What made the shard, as the writer was told: tool, extractor fingerprint, sources.
  const Json& origin() const;
  int64_t size() const { return header().samples; }

  /// UserError when the record contradicts the file. 0 <= index < size().
  SampleView sample(int64_t index) const;

  /// Asks the kernel to read the record ahead of use.
  void prefetch(int64_t index) const;

  /// Reads everything: calls `problem` with one sentence for every block whose checksum differs and every sample that
  /// breaks an invariant (counts, UTF-8, boxes inside the image, finite features). The calls come from this thread, in
  /// the order of the file, whatever the number of threads.
  void verify(const std::function<void(const std::string&)>& problem, const VerifyOptions& options = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace capture
