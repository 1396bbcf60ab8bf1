// Rankings: for each query, gallery items best first. File format: one line a query, "query_id,gallery_id0,…".
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "capture/retrieval/ground_truth.h"

namespace capture {

struct Ranking {
  std::string query_id;
  int32_t query = kUnknown;          ///< index into the ground truth's queries
  std::vector<int32_t> items;        ///< gallery items, best first; kUnknown for an id that the gallery lacks
  std::vector<std::string> unknown;  ///< the ids behind each kUnknown, in order
  int32_t repeated = kUnknown;       ///< the item that is the first to stand a second time
  std::vector<float> scores;         ///< one an item, or empty: files have none
  int64_t line = 0;                  ///< its line in the file, or its number, from 1
};

struct Rankings {
  std::string name;  ///< the file, or what stands for it in messages
  std::vector<Ranking> lines;
  uint64_t checksum = 0;  ///< of the file's bytes

  /// "rankings.txt:12", for messages.
  std::string where(const Ranking& ranking) const { return name + ":" + std::to_string(ranking.line); }
};

/// Every line of the file is a ranking, an empty one too: nothing is refused here but a file that cannot be read, is
/// empty or is not UTF-8. The protocols decide what ids that no list holds mean. Reads on every core.
Rankings read_rankings(const std::filesystem::path& path, const GroundTruth& truth);

/// Writes the same format, all or nothing, the first `depth` items of each ranking (0: all). UserError when an id holds
/// a comma or anything else that could not be read back.
void write_rankings(const std::filesystem::path& path, const Rankings& rankings, const GroundTruth& truth,
                    size_t depth = 0);

}  // namespace capture
