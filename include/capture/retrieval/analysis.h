// What lies behind the means of an evaluation: precision by recall, the scores of hits and misses, and labels. Without
// LibTorch.
//
// Rankings of unknown queries, and of queries without a match in the gallery, are passed over.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "capture/retrieval/rankings.h"

namespace capture {

using QueryFilter = std::function<bool(const GroundTruthQuery&)>;

/// The place of the ranking's first hit, from 1; 0 without one.
int64_t first_hit(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items);

/// Interpolated precision at recall 0, 0.01, … 1, averaged over the queries that `use` keeps: the highest precision at
/// that recall or a higher one (trec_eval's iprec_at_recall). A recall that the ranking does not reach counts as 0.
/// Empty when no query is kept.
std::vector<double> precision_by_recall(const GroundTruth& truth, const Rankings& rankings, const QueryFilter& use);

/// The scores of the first `n` results of every query.
struct ScoreHistogram {
  double low = 0;  ///< the lowest and the highest score; both 0 when rankings have no scores
  double high = 0;
  std::vector<double> hits;  ///< the share of all hits in each of the bins, equally wide; empty without a hit
  std::vector<double> misses;
};

ScoreHistogram score_histogram(const GroundTruth& truth, const Rankings& rankings, int64_t n, size_t bins);

/// One label, over the queries that show it.
struct LabelResult {
  int32_t label = kUnknown;
  int64_t queries = 0;
  double value = 0;  ///< mean of the queries' values
  double found = 0;  ///< share of the queries with an item of the label among the first `n`
};

/// `values` has one figure a ranking; a NaN leaves the query out. Labels without a query are left out. The lowest value
/// first; ties in the order in which the lists name the labels.
std::vector<LabelResult> results_by_label(const GroundTruth& truth, const Rankings& rankings,
                                          std::span<const double> values, int64_t n);

/// A label that was found where another was asked for.
struct Confusion {
  int32_t asked = kUnknown;
  int32_t found = kUnknown;
  double places = 0;  ///< that show `found`
  double all = 0;     ///< places of the queries that ask for `asked`
};

/// Counts, for every query, the places that a perfect ranking would fill with matches: the first min(n, matches). A
/// query with k labels gives each a k-th of its places. The most frequent confusion first, at most `most`.
std::vector<Confusion> confusions(const GroundTruth& truth, const Rankings& rankings, int64_t n, size_t most);

}  // namespace capture
