// The protocol strict: standard definitions, and no figure at all from input that would need a guess.
#include <algorithm>
#include <optional>
#include <utility>

#include "capture/base/error.h"
#include "figures.h"

namespace capture {

namespace {

constexpr const char* kHint = "correct it, or compute the published figures alone with --protocol product1m_official";

struct Offences {
  std::optional<UserError::Parts> first;
  int64_t count = 0;

  void add(std::string where, std::string what, const char* hint = kHint) {
    if (++count == 1) first = {.what = std::move(what), .where = std::move(where), .hint = hint};
  }

  void throw_any() {
    if (!first) return;
    if (count > 1) first->what += " (and " + std::to_string(count - 1) + " more such lines)";
    throw UserError(*first);
  }
};

class StrictCheck {
 public:
  StrictCheck(const GroundTruth& truth, const Rankings& rankings, std::span<const RankingFigures> figures, bool skip)
      : truth_(truth), rankings_(rankings), figures_(figures), skip_(skip), query_line_(truth.queries().size()) {}

  /// Throws the first offence. Returns the queries left out.
  std::vector<OddLine> run() {
    for (const OddLine& odd : truth_.odd()) {
      if (odd.oddity == Oddity::ambiguous) offences_.add(odd.where, odd.reason);
    }
    for (size_t i = 0; i < rankings_.lines.size(); ++i) check(rankings_.lines[i], figures_[i].ranked);
    check_queries();
    offences_.throw_any();
    return std::move(skipped_);
  }

 private:
  void check(const Ranking& ranking, int64_t ranked) {
    if (ranking.query == kUnknown) {
      add(ranking,
          ranking.query_id.empty() ? "the line names no query" : "no list has the query '" + ranking.query_id + "'");
      return;
    }
    int64_t& line = query_line_[static_cast<size_t>(ranking.query)];
    if (line > 0) {
      add(ranking, "query '" + ranking.query_id + "' was ranked before, in line " + std::to_string(line));
    }
    line = ranking.line;
    if (ranked == 0) add(ranking, "query '" + ranking.query_id + "' ranks nothing");
    check_items(ranking);
  }

  void check_items(const Ranking& ranking) {
    if (!ranking.unknown.empty()) {
      add(ranking,
          "query '" + ranking.query_id + "' ranks '" + ranking.unknown.front() + "', which the gallery does not have");
    }
    if (ranking.repeated != kUnknown) {
      add(ranking, "query '" + ranking.query_id + "' ranks '" + std::string(truth_.item_id(ranking.repeated)) +
                       "' more than once");
    }
  }

  void add(const Ranking& ranking, std::string what) { offences_.add(rankings_.where(ranking), std::move(what)); }

  void check_queries() {
    for (size_t i = 0; i < query_line_.size(); ++i) {
      const GroundTruthQuery& query = truth_.queries()[i];
      if (query.positives == 0) {
        const std::string what = "query '" + query.id + "' has no item of its labels in the gallery";
        if (skip_) {
          skipped_.push_back({query.where, query.id, what, "left out"});
        } else {
          offences_.add(query.where, what, "--skip-unanswerable leaves such queries out and says how many");
        }
      } else if (query_line_[i] == 0) {
        offences_.add(rankings_.name, "query '" + query.id + "' (" + query.where + ") is not ranked");
      }
    }
  }

  const GroundTruth& truth_;
  const Rankings& rankings_;
  std::span<const RankingFigures> figures_;
  bool skip_;
  std::vector<int64_t> query_line_;  // where each query is ranked, 0: nowhere
  Offences offences_;
  std::vector<OddLine> skipped_;
};

void add(StrictScores& sum, const StrictScores& scores) {
  sum.average_precision += scores.average_precision;
  sum.precision += scores.precision;
  sum.recall += scores.recall;
  sum.hit_rate += scores.hit_rate;
  sum.label_coverage += scores.label_coverage;
}

void divide(StrictScores& sum, double count) {
  sum.average_precision /= count;
  sum.precision /= count;
  sum.recall /= count;
  sum.hit_rate /= count;
  sum.label_coverage /= count;
}

}  // namespace

StrictResult strict_result(const GroundTruth& truth, const Rankings& rankings, const EvaluationOptions& options,
                           std::span<RankingFigures> figures) {
  StrictResult result;
  result.at = options.at;
  result.skipped = StrictCheck(truth, rankings, figures, options.skip_unanswerable).run();
  for (size_t i = 0; i < rankings.lines.size(); ++i) {
    if (truth.query(rankings.lines[i].query).positives == 0) continue;
    result.lines.push_back(std::move(figures[i].strict));
    result.lines.back().ranking = i;
  }
  if (result.lines.empty()) {
    throw UserError({.what = "no query has an item of its labels in the gallery, so there is nothing to measure",
                     .where = rankings.name,
                     .hint = "check that the lists belong together"});
  }
  return result;
}

int64_t StrictResult::count(QueryGroup group) const {
  return std::ranges::count_if(lines,
                               [&](const StrictLine& line) { return group == QueryGroup::all || line.group == group; });
}

StrictMeans StrictResult::means(QueryGroup group) const {
  StrictMeans means{.at = std::vector<StrictScores>(at.size())};
  for (const StrictLine& line : lines) {
    if (group != QueryGroup::all && line.group != group) continue;
    for (size_t n = 0; n < at.size(); ++n) add(means.at[n], line.at[n]);
    means.r_precision += line.r_precision;
    means.mean_reciprocal_rank += line.reciprocal_rank;
  }
  const auto total = static_cast<double>(std::max<int64_t>(count(group), 1));
  for (StrictScores& scores : means.at) divide(scores, total);
  means.r_precision /= total;
  means.mean_reciprocal_rank /= total;
  return means;
}

Json to_json(const StrictResult& result, QueryGroup group) {
  Json json = Json::object();
  const StrictMeans means = result.means(group);
  for (size_t n = 0; n < result.at.size(); ++n) {
    const StrictScores& scores = means.at[n];
    json["top" + std::to_string(result.at[n])] = {{"mAP", scores.average_precision},
                                                  {"Prec", scores.precision},
                                                  {"Recall", scores.recall},
                                                  {"hit_rate", scores.hit_rate},
                                                  {"label_coverage", scores.label_coverage}};
  }
  json["R-Precision"] = means.r_precision;
  json["MRR"] = means.mean_reciprocal_rank;
  return json;
}

}  // namespace capture
