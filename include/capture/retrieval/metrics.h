// The figures of one ranking under the two protocols. Never mix them: on the same rankings they differ by 20 points and
// more.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

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

/// One ranking, one N, under strict, the standard definition.
struct StrictScores {
  double average_precision = 0;  ///< sum over hits among the first N of hits so far / rank, over min(R, N)
  double precision = 0;          ///< hits / N
  double recall = 0;             ///< hits / R
  double hit_rate = 0;           ///< 1 with a hit among the first N, else 0
  double label_coverage = 0;     ///< distinct query labels among the first N / distinct query labels
};

/// Where the hits of a ranking are. Looked up once, they give its figures at every N. Used again, it keeps its memory.
class Hits {
 public:
  explicit Hits(const GroundTruth& truth) : truth_(truth) {}

  /// Looks at the first `depth` items of a ranking, which may hold kUnknown. What it is given must outlive its use.
  void find(const GroundTruthQuery& query, std::span<const int32_t> items, int64_t depth);

  /// n must be at most the depth. k = min(n, positives as listed, ranked items).
  OfficialScores official(int64_t n);

  // The figures of strict: R = positives of the query, which must not be 0; no item may stand twice.

  /// n must be at most the depth.
  StrictScores strict(int64_t n);
  /// Hits among the first R, over R. R must be at most the depth.
  double r_precision() const;
  /// 1 / rank of the first hit, 0 without one, over the whole ranking.
  double reciprocal_rank() const;

 private:
  int64_t among_first(int64_t n) const;
  int64_t count_labels(int64_t hits);
  void score_recall(int64_t n, OfficialScores& scores);

  const GroundTruth& truth_;
  const GroundTruthQuery* query_ = nullptr;
  std::span<const int32_t> items_;
  std::vector<int32_t> wanted_;    // by label + 1: its index among the query's distinct labels, from 1; 0: not wanted
  std::vector<int32_t> places_;    // of the hits, from 0, in order
  std::vector<int32_t> labels_;    // of the hits, as indices among the query's distinct labels
  std::vector<double> sums_;       // [h]: over the first h hits, hits so far / rank
  int64_t first_unknown_ = 0;      // place of the first item that the gallery lacks
  std::vector<int64_t> counts_;    // by distinct label: hits counted by count_labels()
  std::vector<int32_t> in_order_;  // the labels with hits, in order of their first
};

/// Whether the gallery item shows a product of the query.
bool is_hit(const GroundTruth& truth, const GroundTruthQuery& query, int32_t item);

}  // namespace capture
