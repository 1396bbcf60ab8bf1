#include "capture/retrieval/analysis.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "capture/retrieval/metrics.h"

namespace capture {

namespace {

constexpr size_t kRecalls = 101;

/// Calls `visit(query, ranking)` for every ranking that can be judged.
template <class Visit>
void for_each_answer(const GroundTruth& truth, const Rankings& rankings, Visit visit) {
  for (const Ranking& ranking : rankings.lines) {
    if (ranking.query == kUnknown) continue;
    const GroundTruthQuery& query = truth.query(ranking.query);
    if (query.positives > 0) visit(query, ranking);
  }
}

std::span<const int32_t> first(std::span<const int32_t> items, int64_t n) {
  return items.first(std::min(items.size(), static_cast<size_t>(n)));
}

/// Adds one query's interpolated precision at each recall.
void add_precision(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items,
                   std::vector<double>& sums) {
  std::vector<double> precision;  // at each hit, then the highest from there on
  for (size_t place = 0; place < items.size() && precision.size() < static_cast<size_t>(query.positives); ++place) {
    if (!is_hit(truth, query, items[place])) continue;
    precision.push_back(static_cast<double>(precision.size() + 1) / static_cast<double>(place + 1));
  }
  for (size_t i = precision.size(); i-- > 1;) precision[i - 1] = std::max(precision[i - 1], precision[i]);
  for (size_t i = 0; i < kRecalls; ++i) {
    // The first hit with a recall of i % or more; in whole numbers, so that 7 of 10 is no less than 70 %.
    const size_t needed = (i * static_cast<size_t>(query.positives) + 99) / 100;
    const size_t hit = std::max<size_t>(needed, 1) - 1;
    if (hit < precision.size()) sums[i] += precision[hit];
  }
}

}  // namespace

int64_t first_hit(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items) {
  for (size_t place = 0; place < items.size(); ++place) {
    if (is_hit(truth, query, items[place])) return static_cast<int64_t>(place + 1);
  }
  return 0;
}

std::vector<double> precision_by_recall(const GroundTruth& truth, const Rankings& rankings, const QueryFilter& use) {
  std::vector<double> precision(kRecalls);
  int64_t queries = 0;
  for_each_answer(truth, rankings, [&](const GroundTruthQuery& query, const Ranking& ranking) {
    if (!use(query)) return;
    ++queries;
    add_precision(truth, query, ranking.items, precision);
  });
  if (queries == 0) return {};
  for (double& value : precision) value /= static_cast<double>(queries);
  return precision;
}

ScoreHistogram score_histogram(const GroundTruth& truth, const Rankings& rankings, int64_t n, size_t bins) {
  std::vector<double> scores[2];  // misses, hits
  for_each_answer(truth, rankings, [&](const GroundTruthQuery& query, const Ranking& ranking) {
    const size_t shown = std::min({static_cast<size_t>(n), ranking.items.size(), ranking.scores.size()});
    for (size_t i = 0; i < shown; ++i) {
      if (std::isfinite(ranking.scores[i])) scores[is_hit(truth, query, ranking.items[i])].push_back(ranking.scores[i]);
    }
  });
  ScoreHistogram histogram;
  bool any = false;
  for (const std::vector<double>& some : scores) {
    for (const double score : some) {
      histogram.low = any ? std::min(histogram.low, score) : score;
      histogram.high = any ? std::max(histogram.high, score) : score;
      any = true;
    }
  }
  if (!(histogram.high > histogram.low)) return {};
  const auto shares = [&](const std::vector<double>& some) {
    std::vector<double> share(some.empty() ? 0 : bins);
    for (const double score : some) {
      const double place = (score - histogram.low) / (histogram.high - histogram.low) * static_cast<double>(bins);
      share[std::min(bins - 1, static_cast<size_t>(place))] += 1 / static_cast<double>(some.size());
    }
    return share;
  };
  histogram.misses = shares(scores[0]);
  histogram.hits = shares(scores[1]);
  return histogram;
}

std::vector<LabelResult> results_by_label(const GroundTruth& truth, const Rankings& rankings,
                                          std::span<const double> values, int64_t n) {
  std::map<int32_t, LabelResult> by_label;
  for (size_t i = 0; i < rankings.lines.size(); ++i) {
    const Ranking& ranking = rankings.lines[i];
    if (ranking.query == kUnknown || !std::isfinite(values[i])) continue;
    for (const int32_t label : truth.query(ranking.query).distinct_labels) {
      LabelResult& result = by_label[label];
      result.label = label;
      ++result.queries;
      result.value += values[i];
      result.found += std::ranges::any_of(
          first(ranking.items, n), [&](int32_t item) { return item != kUnknown && truth.item_label(item) == label; });
    }
  }
  std::vector<LabelResult> results;
  for (auto& [label, result] : by_label) {
    result.value /= static_cast<double>(result.queries);
    result.found /= static_cast<double>(result.queries);
    results.push_back(result);
  }
  std::ranges::stable_sort(results, {}, &LabelResult::value);
  return results;
}

std::vector<Confusion> confusions(const GroundTruth& truth, const Rankings& rankings, int64_t n, size_t most) {
  std::map<std::pair<int32_t, int32_t>, double> places;
  std::map<int32_t, double> all;
  for_each_answer(truth, rankings, [&](const GroundTruthQuery& query, const Ranking& ranking) {
    const double share = 1 / static_cast<double>(query.distinct_labels.size());
    for (const int32_t item : first(ranking.items, std::min(n, query.positives))) {
      for (const int32_t label : query.distinct_labels) {
        all[label] += share;
        if (item != kUnknown && !is_hit(truth, query, item)) places[{label, truth.item_label(item)}] += share;
      }
    }
  });
  std::vector<Confusion> found;
  for (const auto& [pair, count] : places) found.push_back({pair.first, pair.second, count, all[pair.first]});
  std::ranges::stable_sort(found, std::greater(), &Confusion::places);
  found.resize(std::min(found.size(), most));
  return found;
}

}  // namespace capture
