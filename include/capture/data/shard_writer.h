// Writes one shard.
#pragma once

#include <filesystem>
#include <memory>

#include "capture/base/json.h"
#include "capture/data/encoded_sample.h"
#include "capture/data/sample.h"
#include "capture/data/shard.h"

namespace capture {

/// Takes samples one at a time; on finish() the file is complete, synced and renamed into place, and without finish()
/// nothing is left behind. Records go to disk as they come; titles, labels and thumbnails are held until finish().
class ShardWriter {
 public:
  /// `path` must end in .capshard. `origin` is kept in the header for people and caches: what made the features
  /// ("extractor": its fingerprint), from what. UserError when the layout is out of range or the file cannot be made.
  ShardWriter(std::filesystem::path path, const ShardLayout& layout, Json origin = Json::object());
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// `sample` was encoded for this shard's layout. UserError, naming the sample, when its id was added before; the
  /// writer is then as it was, and the caller may go on with the next.
  void add(EncodedSample sample);
  /// encode() and add().
  void add(const Sample& sample);
  int64_t size() const;
  /// Of the file, were it finished now, its table of checksums left out.
  int64_t bytes() const;

  /// UserError when no sample was added or the disk is full.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace capture
