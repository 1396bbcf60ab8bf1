// The figures of one ranking under the two protocols. Never mix them: on the same rankings they differ by 20 points and
// more.
#pragma once

#include <cstdint>
#include <span>

#include "capture/retrieval/ground_truth.h"

namespace capture {

/// Why the published script gives up on a line, in the order in which it would notice.
enum class OfficialFault {
  none,
  unknown_query,    ///< no list has the query
  absent_label,     ///< the gallery has no item of one of its labels
  empty_ranking,    ///< nothing to divide by: no ranked item, or no label
  unknown_item,     ///< an id among the first N that the gallery lacks; only AR is lost
  nothing_expected  ///< more labels than N, so that no item is expected of any; only AR is lost
};

/// One ranking, one N, under product1m_official: the figures of the script that was published with Product1M, to the
/// last bit, with what it had not added when it gave up on a line as 0.
struct OfficialScores {
  double average_precision = 0;  ///< over the hits among the first k: mean of hits so far / rank
  double precision = 0;          ///< hits / k
  double average_recall = 0;     ///< mean over the distinct labels of found / expected
  OfficialFault fault = OfficialFault::none;
};

/// `query` may be null: an unknown one. k = min(N, positives as listed, ranked items). `items` may hold kUnknown.
OfficialScores official_scores(const GroundTruth& truth, const GroundTruthQuery* query, std::span<const int32_t> items,
                               int64_t n);

/// One ranking, one N, under strict, the standard definition.
struct StrictScores {
  double average_precision = 0;  ///< sum over hits among the first N of hits so far / rank, over min(R, N)
  double precision = 0;          ///< hits / N
  double recall = 0;             ///< hits / R
  double hit_rate = 0;           ///< 1 with a hit among the first N, else 0
  double label_coverage = 0;     ///< distinct query labels among the first N / distinct query labels
};

/// R = query.positives, which must not be 0; no item may stand twice.
StrictScores strict_scores(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items,
                           int64_t n);

/// Hits among the first R, over R.
double r_precision(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items);

/// 1 / rank of the first hit, 0 without one, over the whole ranking.
double reciprocal_rank(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items);

/// Whether the gallery item shows a product of the query.
bool is_hit(const GroundTruth& truth, const GroundTruthQuery& query, int32_t item);

}  // namespace capture
