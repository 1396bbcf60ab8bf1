// The gallery items that can still be among the best of one query, as far as is known.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "capture/retrieval/search.h"
#include "prepared.h"
#include "rows.h"

namespace capture {

/// Best first: by exact score, then by id.
struct ByRank {
  std::span<const std::string_view> ids;

  bool operator()(const Match& a, const Match& b) const {
    if (a.score != b.score) return a.score > b.score;
    return ids[static_cast<size_t>(a.item)] < ids[static_cast<size_t>(b.item)];
  }
};

/// What a shortlist must know about its query.
struct Judge {
  size_t depth;  ///< how many items are wanted
  ByRank by_rank;
  const FloatRows& gallery;
  std::span<const float> query;
  const QueryTerms& query_terms;
  std::span<const ItemTerms> item_terms;

  /// How wrong the item's fast score can be.
  float error(int32_t item) const { return query_terms.error(item_terms[static_cast<size_t>(item)]); }
  float exact(int32_t item) const;
};

class Shortlist {
 public:
  /// With its fast score.
  void add(Match match) { matches_.push_back(match); }
  void add_exact(Match match);
  /// All that another one holds.
  void add(const Shortlist& other);

  size_t size() const { return matches_.size(); }

  /// Drops what cannot be among the best. Returns a score that `depth` items reach, which is at least `floor`, another
  /// such score.
  float narrow(const Judge& judge, float floor);

  /// Scores everything exactly and keeps the best. Returns a floor as narrow() does.
  float settle(const Judge& judge, float floor);

  /// Those that have fast scores only.
  std::span<Match> uncertain() { return std::span(matches_).subspan(exact_); }

  /// Ranked, and no more than `depth`. All scores must be exact now.
  std::vector<Match> take(ByRank by_rank, size_t depth);

 private:
  std::vector<Match> matches_;  // first those with exact scores
  size_t exact_ = 0;
};

}  // namespace capture
