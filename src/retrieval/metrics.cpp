#include "capture/retrieval/metrics.h"

#include <algorithm>

namespace capture {

bool is_hit(const GroundTruth& truth, const GroundTruthQuery& query, int32_t item) {
  if (item == kUnknown) return false;
  const int32_t label = truth.item_label(item);
  return label != kUnknown && std::ranges::find(query.distinct_labels, label) != query.distinct_labels.end();
}

void Hits::find(const GroundTruthQuery& query, std::span<const int32_t> items, int64_t depth) {
  query_ = &query;
  items_ = items;
  wanted_.resize(static_cast<size_t>(truth_.label_count()) + 1);
  const auto wanted = [&](int32_t label) -> int32_t& { return wanted_[static_cast<size_t>(label + 1)]; };
  for (size_t i = 0; i < query.distinct_labels.size(); ++i) {
    wanted(query.distinct_labels[i]) = static_cast<int32_t>(i) + 1;
  }
  const size_t looked_at = std::min(items.size(), static_cast<size_t>(depth));
  if (places_.size() < looked_at) {
    places_.resize(looked_at);
    labels_.resize(looked_at);
  }
  first_unknown_ = static_cast<int64_t>(looked_at);
  size_t hits = 0;
  for (size_t place = 0; place < looked_at; ++place) {
    if (items[place] == kUnknown) {
      first_unknown_ = std::min(first_unknown_, static_cast<int64_t>(place));
      continue;
    }
    // Whether an item is a hit is as good as random: written every time, counted when it is, nothing is guessed.
    const int32_t label = wanted(truth_.item_label(items[place]));
    places_[hits] = static_cast<int32_t>(place);
    labels_[hits] = label - 1;
    hits += label > 0;
  }
  for (const int32_t label : query.distinct_labels) wanted(label) = 0;
  sums_.assign(1, 0.0);
  for (size_t hit = 0; hit < hits; ++hit) {
    sums_.push_back(sums_.back() + static_cast<double>(hit + 1) / static_cast<double>(places_[hit] + 1));
  }
}

/// How many hits there are among the first n places.
int64_t Hits::among_first(int64_t n) const {
  const std::span places = std::span(places_).first(sums_.size() - 1);
  return std::ranges::lower_bound(places, n) - places.begin();
}

/// Counts the labels of the first hits, and returns how many different ones there are.
int64_t Hits::count_labels(int64_t hits) {
  counts_.assign(query_->distinct_labels.size(), 0);
  in_order_.clear();
  for (const int32_t label : std::span(labels_).first(static_cast<size_t>(hits))) {
    if (counts_[static_cast<size_t>(label)]++ == 0) in_order_.push_back(label);
  }
  return static_cast<int64_t>(in_order_.size());
}

OfficialScores Hits::official(int64_t n) {
  for (const int32_t label : query_->labels) {
    if (truth_.items_with(label) == 0) return {.fault = OfficialFault::absent_label};
  }
  const int64_t k = std::min({n, query_->listed_positives, static_cast<int64_t>(items_.size())});
  if (k == 0) return {.fault = OfficialFault::empty_ranking};
  OfficialScores scores;
  const int64_t hits = among_first(k);
  if (hits > 0) scores.average_precision = sums_[static_cast<size_t>(hits)] / static_cast<double>(hits);
  scores.precision = static_cast<double>(hits) / static_cast<double>(k);
  score_recall(n, scores);
  return scores;
}

/// AR of the first N, and what stops the script before it is added. Sums run in the order in which labels appear in the
/// ranking, because a sum of doubles depends on it.
void Hits::score_recall(int64_t n, OfficialScores& scores) {
  if (first_unknown_ < std::min(n, static_cast<int64_t>(items_.size()))) {
    scores.fault = OfficialFault::unknown_item;
    return;
  }
  count_labels(among_first(n));
  const int64_t share = n / static_cast<int64_t>(query_->labels.size());
  double sum = 0;
  for (const int32_t index : in_order_) {
    const int32_t label = query_->distinct_labels[static_cast<size_t>(index)];
    const int64_t expected = std::min(share * std::ranges::count(query_->labels, label), truth_.items_with(label));
    if (expected == 0) {
      scores.fault = OfficialFault::nothing_expected;
      return;
    }
    const int64_t found = std::min(counts_[static_cast<size_t>(index)], expected);
    sum += static_cast<double>(found) / static_cast<double>(expected);
  }
  scores.average_recall = sum / static_cast<double>(query_->distinct_labels.size());
}

StrictScores Hits::strict(int64_t n) {
  const int64_t hits = among_first(n);
  const auto labels = static_cast<double>(query_->distinct_labels.size());
  return {.average_precision = sums_[static_cast<size_t>(hits)] / static_cast<double>(std::min(query_->positives, n)),
          .precision = static_cast<double>(hits) / static_cast<double>(n),
          .recall = static_cast<double>(hits) / static_cast<double>(query_->positives),
          .hit_rate = hits > 0 ? 1.0 : 0.0,
          .label_coverage = static_cast<double>(count_labels(hits)) / labels};
}

double Hits::r_precision() const {
  return static_cast<double>(among_first(query_->positives)) / static_cast<double>(query_->positives);
}

double Hits::reciprocal_rank() const {
  if (sums_.size() > 1) return 1.0 / static_cast<double>(places_.front() + 1);
  const auto hit = std::ranges::find_if(items_, [&](int32_t item) { return is_hit(truth_, *query_, item); });
  return hit == items_.end() ? 0.0 : 1.0 / static_cast<double>(hit - items_.begin() + 1);
}

}  // namespace capture
