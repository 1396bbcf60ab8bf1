// The figures of single rankings, from which the protocols make their results.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capture/retrieval/protocols.h"

namespace capture {

/// One ranking's, under the protocols that were asked for.
struct RankingFigures {
  int64_t ranked = 0;                         ///< items that were looked at
  std::vector<OfficialScores> official = {};  ///< one a cutoff
  StrictLine strict = {};                     ///< but for its place; empty for a query without a positive
};

/// Measures rankings one after the other. One a thread.
class Scorer {
 public:
  Scorer(const GroundTruth& truth, const EvaluationOptions& options);

  /// `items` are the ranking's, wherever they stand.
  RankingFigures score(const Ranking& ranking, std::span<const int32_t> items);

 private:
  const GroundTruth& truth_;
  const EvaluationOptions& options_;
  int64_t depth_ = 0;  // the greatest cutoff
  Hits hits_;
};

/// The greatest cutoff.
int64_t greatest(std::span<const int64_t> at);

/// The protocols' results from the figures of each ranking, which move into them.
OfficialResult official_result(const GroundTruth& truth, const Rankings& rankings, std::span<const int64_t> at,
                               std::span<RankingFigures> figures);
StrictResult strict_result(const GroundTruth& truth, const Rankings& rankings, const EvaluationOptions& options,
                           std::span<RankingFigures> figures);

}  // namespace capture
