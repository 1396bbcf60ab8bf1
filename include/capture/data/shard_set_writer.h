// Writes a folder of shards that can be read while it grows, and goes on where a killed process left it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/data/encoded_sample.h"
#include "capture/data/shard.h"

namespace capture {

inline constexpr const char* kSourceFile = "source.json";

struct ShardSetOptions {
  int64_t shard_bytes = int64_t{4} << 30;  ///< a shard ends with the sample that reaches this size
  int64_t shard_samples = 0;               ///< or this many samples; 0: any number
  Json source = Json::object();            ///< what the samples are made from and how, for resuming and for people
  /// Names of further files in the folder that belong to the set. Whoever writes them does so after the constructor.
  std::vector<std::string> beside = {};
  bool start_over = false;  ///< delete what an earlier run of whatever source left
};

/// 00000.capshard, 00001.capshard, … and index.json over them. Each shard appears whole, then the index names it; at no
/// moment does a reader see half of either. A process that dies at any point leaves the whole shards: a writer opened
/// again with the same source, layout and origin goes on behind them, and the bytes are those of a run without a stop,
/// as long as the caller goes on in its source from journal().
///
/// The finished index depends on the samples alone; the source stands beside it in source.json.
class ShardSetWriter {
 public:
  /// Makes the folder, or goes on in it. `origin` goes into every shard's header (ShardWriter).
  /// UserError when another process is writing into the folder, it holds files that are no shard set's, or a set of
  /// another source, layout or origin (and not start_over), or one of its shards is missing or changed.
  ShardSetWriter(std::filesystem::path folder, const ShardLayout& layout, Json origin, ShardSetOptions options = {});
  /// The same in two steps, for callers who find out in between: this one holds the folder to the source, begin() to
  /// layout and origin. Before begin() only complete(), journal() and size() may be asked.
  ShardSetWriter(std::filesystem::path folder, ShardSetOptions options);
  void begin(const ShardLayout& layout, Json origin);
  /// Without finish() the whole shards stay, for a later run to go on behind; without any, nothing is left behind.
  ~ShardSetWriter();
  ShardSetWriter(const ShardSetWriter&) = delete;
  ShardSetWriter& operator=(const ShardSetWriter&) = delete;

  /// Whether an earlier run finished the set: there is nothing to add.
  bool complete() const;

  /// What the caller noted when the last whole shard ended: where to go on. Null when there is none: from the start.
  const Json& journal() const;

  /// Samples, those of earlier runs included.
  int64_t size() const;
  const ShardLayout& layout() const;

  /// `sample` was encoded for this layout. `journal` is asked for a note only when a shard ends with this sample: where
  /// the source stands just behind it, and whatever else the caller's results so far depend on.
  /// UserError whose `where` is "sample \"<id>\"" when its id was added before, to any shard of the set; the writer is
  /// then as it was. Any other UserError (a full disk) leaves the whole shards.
  void add(EncodedSample sample, const std::function<Json()>& journal = {});

  /// Ends the last shard and the index. UserError when there is no sample.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace capture
