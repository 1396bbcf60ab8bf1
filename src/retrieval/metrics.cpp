#include "capture/retrieval/metrics.h"

#include <algorithm>
#include <vector>

namespace capture {

namespace {

std::span<const int32_t> first(std::span<const int32_t> items, int64_t n) {
  return items.first(std::min(items.size(), static_cast<size_t>(n)));
}

/// What the query's distinct labels got from the first places of a ranking.
struct Found {
  std::vector<int64_t> count = {};  // one a distinct label of the query
  std::vector<size_t> order = {};   // distinct labels in order of first appearance
  bool unknown_item = false;
};

Found find_labels(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items) {
  Found found{.count = std::vector<int64_t>(query.distinct_labels.size())};
  for (const int32_t item : items) {
    if (item == kUnknown) {
      found.unknown_item = true;
      continue;
    }
    const auto label = std::ranges::find(query.distinct_labels, truth.item_label(item));
    if (label == query.distinct_labels.end()) continue;
    const auto index = static_cast<size_t>(label - query.distinct_labels.begin());
    if (found.count[index]++ == 0) found.order.push_back(index);
  }
  return found;
}

/// AR of the first N, and what stops the script before it is added. Sums run in the order in which labels appear in the
/// ranking, because a sum of doubles depends on it.
void score_recall(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items, int64_t n,
                  OfficialScores& scores) {
  const Found found = find_labels(truth, query, first(items, n));
  if (found.unknown_item) {
    scores.fault = OfficialFault::unknown_item;
    return;
  }
  const int64_t share = n / static_cast<int64_t>(query.labels.size());
  double sum = 0;
  for (const size_t index : found.order) {
    const int32_t label = query.distinct_labels[index];
    const int64_t expected = std::min(share * std::ranges::count(query.labels, label), truth.items_with(label));
    if (expected == 0) {
      scores.fault = OfficialFault::nothing_expected;
      return;
    }
    sum += static_cast<double>(std::min(found.count[index], expected)) / static_cast<double>(expected);
  }
  scores.average_recall = sum / static_cast<double>(query.distinct_labels.size());
}

}  // namespace

bool is_hit(const GroundTruth& truth, const GroundTruthQuery& query, int32_t item) {
  if (item == kUnknown) return false;
  const int32_t label = truth.item_label(item);
  return label != kUnknown && std::ranges::find(query.distinct_labels, label) != query.distinct_labels.end();
}

OfficialScores official_scores(const GroundTruth& truth, const GroundTruthQuery* query, std::span<const int32_t> items,
                               int64_t n) {
  OfficialScores scores;
  if (query == nullptr) return {.fault = OfficialFault::unknown_query};
  for (const int32_t label : query->labels) {
    if (truth.items_with(label) == 0) return {.fault = OfficialFault::absent_label};
  }
  const int64_t k = std::min({n, query->listed_positives, static_cast<int64_t>(items.size())});
  if (k == 0) return {.fault = OfficialFault::empty_ranking};
  int64_t hits = 0;
  double sum = 0;
  for (int64_t i = 0; i < k; ++i) {
    if (!is_hit(truth, *query, items[static_cast<size_t>(i)])) continue;
    ++hits;
    sum += static_cast<double>(hits) / static_cast<double>(i + 1);
  }
  if (hits > 0) scores.average_precision = sum / static_cast<double>(hits);
  scores.precision = static_cast<double>(hits) / static_cast<double>(k);
  score_recall(truth, *query, items, n, scores);
  return scores;
}

StrictScores strict_scores(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items,
                           int64_t n) {
  items = first(items, n);
  int64_t hits = 0;
  double sum = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!is_hit(truth, query, items[i])) continue;
    ++hits;
    sum += static_cast<double>(hits) / static_cast<double>(i + 1);
  }
  const auto labels = static_cast<double>(query.distinct_labels.size());
  return {.average_precision = sum / static_cast<double>(std::min(query.positives, n)),
          .precision = static_cast<double>(hits) / static_cast<double>(n),
          .recall = static_cast<double>(hits) / static_cast<double>(query.positives),
          .hit_rate = hits > 0 ? 1.0 : 0.0,
          .label_coverage = static_cast<double>(find_labels(truth, query, items).order.size()) / labels};
}

double r_precision(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items) {
  const auto hits =
      std::ranges::count_if(first(items, query.positives), [&](int32_t item) { return is_hit(truth, query, item); });
  return static_cast<double>(hits) / static_cast<double>(query.positives);
}

double reciprocal_rank(const GroundTruth& truth, const GroundTruthQuery& query, std::span<const int32_t> items) {
  const auto hit = std::ranges::find_if(items, [&](int32_t item) { return is_hit(truth, query, item); });
  return hit == items.end() ? 0.0 : 1.0 / static_cast<double>(hit - items.begin() + 1);
}

}  // namespace capture
