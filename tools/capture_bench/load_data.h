// Shards of invented pairs that cost a loader what real ones cost, and a vocabulary for their titles.
#pragma once

#include <cstdint>
#include <filesystem>

#include "capture/data/shard.h"

namespace capture {

/// A folder of its own for the files below, removed at the end.
class ScratchFolder {
 public:
  /// In `parent`, or where the system keeps temporary files. UserError when it cannot be made.
  explicit ScratchFolder(std::filesystem::path parent);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// A WordPiece vocabulary of as many entries as Chinese BERT's, most of them one ideograph.
void write_vocabulary(const std::filesystem::path& file);

/// One shard. Every sample has all the regions that the layout allows and a title of 3 to 34 ideographs.
void write_pairs(const std::filesystem::path& file, const ShardLayout& layout, int64_t samples);

}  // namespace capture
