// The protocol product1m_official: the published script's figures, and a word about every line that it stumbles over.
#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "figures.h"

namespace capture {

namespace {

std::string in_quotes(std::string_view text) {
  std::string result(1, '\'');
  result.append(text).append(1, '\'');
  return result;
}

/// "10, 50" for the cutoffs at which the line's fault is `fault`.
std::string cutoffs_with(OfficialFault fault, std::span<const int64_t> at, std::span<const OfficialScores> scores) {
  std::string text;
  for (size_t i = 0; i < at.size(); ++i) {
    if (scores[i].fault != fault) continue;
    if (!text.empty()) text += ", ";
    text += std::to_string(at[i]);
  }
  return text;
}

/// Looks for everything odd about lines, one after the other.
class OddLines {
 public:
  OddLines(const GroundTruth& truth, const Rankings& rankings, std::span<const int64_t> at)
      : truth_(truth), rankings_(rankings), at_(at), first_line_(truth.queries().size()) {}

  void inspect(const Ranking& ranking, const RankingFigures& figures) {
    ranking_ = &ranking;
    note_repeated_query();
    note_whole_line(figures.official.front().fault, figures.ranked);
    note_recall(figures.official);
    note_labels();
    note_items(figures.ranked);
  }

  std::vector<OddLine> take() { return std::move(odd_); }

 private:
  void note(std::string reason, std::string effect, Oddity oddity = Oddity::remark) {
    odd_.push_back({rankings_.where(*ranking_), ranking_->query_id, std::move(reason), std::move(effect), oddity});
  }

  void note_lost(std::string reason, std::string effect) { note(std::move(reason), std::move(effect), Oddity::lost); }

  void note_repeated_query() {
    // Of unknown queries there should be few; for the others a look at their number is quicker.
    int64_t& first = ranking_->query == kUnknown ? first_line_of_unknown_[ranking_->query_id]
                                                 : first_line_[static_cast<size_t>(ranking_->query)];
    if (first == 0) {
      first = ranking_->line;
    } else {
      note("the query was ranked before, in line " + std::to_string(first), "it counts again");
    }
  }

  void note_whole_line(OfficialFault fault, int64_t ranked) {
    const std::string zero = "the line counts as 0";
    if (fault == OfficialFault::unknown_query) {
      note_lost(
          ranking_->query_id.empty() ? "the line names no query" : "unknown query " + in_quotes(ranking_->query_id),
          zero);
    } else if (fault == OfficialFault::absent_label) {
      const GroundTruthQuery& query = truth_.query(ranking_->query);
      const auto absent = std::ranges::find_if(query.labels, [&](int32_t l) { return truth_.items_with(l) == 0; });
      note_lost("the gallery has no item with the label " + in_quotes(truth_.label_name(*absent)), zero);
    } else if (fault == OfficialFault::empty_ranking) {
      note_lost(ranked == 0 ? "the ranking is empty" : "the query has no label", zero);
    }
  }

  void note_recall(std::span<const OfficialScores> scores) {
    if (const auto at = cutoffs_with(OfficialFault::unknown_item, at_, scores); !at.empty()) {
      note_lost("unknown gallery id " + in_quotes(ranking_->unknown.front()), "AR counts as 0 at " + at);
    } else if (!ranking_->unknown.empty()) {
      note("unknown gallery id " + in_quotes(ranking_->unknown.front()), "it is no hit");
    }
    if (const auto at = cutoffs_with(OfficialFault::nothing_expected, at_, scores); !at.empty()) {
      note_lost("the query lists " + std::to_string(truth_.query(ranking_->query).labels.size()) + " labels",
                "AR counts as 0 at " + at);
    }
  }

  void note_labels() {
    if (ranking_->query == kUnknown) return;
    const GroundTruthQuery& query = truth_.query(ranking_->query);
    for (const int32_t label : query.distinct_labels) {
      const auto times = std::ranges::count(query.labels, label);
      if (times == 1) continue;
      note("the label " + in_quotes(truth_.label_name(label)) + " is listed " + std::to_string(times) + " times",
           "it counts as often");
    }
  }

  void note_items(int64_t ranked) {
    if (ranking_->repeated != kUnknown) {
      note("gallery id " + in_quotes(truth_.item_id(ranking_->repeated)) + " is ranked twice", "it counts twice");
    }
    if (ranked > 0 && ranked < std::min<int64_t>(greatest(at_), truth_.gallery_size())) {
      note("the ranking has only " + std::to_string(ranked) + " item(s)", "it is cut there");
    }
  }

  const GroundTruth& truth_;
  const Rankings& rankings_;
  std::span<const int64_t> at_;
  const Ranking* ranking_ = nullptr;
  std::vector<int64_t> first_line_;  // by query; 0: not ranked so far
  std::unordered_map<std::string, int64_t> first_line_of_unknown_;
  std::vector<OddLine> odd_;
};

}  // namespace

OfficialResult official_result(const GroundTruth& truth, const Rankings& rankings, std::span<const int64_t> at,
                               std::span<RankingFigures> figures) {
  OfficialResult result;
  result.at.assign(at.begin(), at.end());
  OddLines odd(truth, rankings, at);
  for (size_t i = 0; i < rankings.lines.size(); ++i) {
    const Ranking& ranking = rankings.lines[i];
    odd.inspect(ranking, figures[i]);
    result.groups.push_back(ranking.query == kUnknown                       ? QueryGroup::all
                            : truth.query(ranking.query).several_products() ? QueryGroup::multi
                                                                            : QueryGroup::single);
    result.lines.push_back(std::move(figures[i].official));
  }
  result.odd = truth.odd();
  std::ranges::move(odd.take(), std::back_inserter(result.odd));
  return result;
}

int64_t OfficialResult::count(QueryGroup group) const {
  return group == QueryGroup::all ? static_cast<int64_t>(lines.size()) : std::ranges::count(groups, group);
}

std::vector<OfficialMeans> OfficialResult::means(QueryGroup group) const {
  std::vector<OfficialMeans> means(at.size());
  const int64_t total = count(group);
  if (total == 0) return means;
  for (size_t n = 0; n < at.size(); ++n) {
    for (size_t i = 0; i < lines.size(); ++i) {
      if (group != QueryGroup::all && groups[i] != group) continue;
      means[n].mean_average_precision += lines[i][n].average_precision;
      means[n].precision += lines[i][n].precision;
      means[n].mean_average_recall += lines[i][n].average_recall;
    }
    means[n].mean_average_precision /= static_cast<double>(total);
    means[n].precision /= static_cast<double>(total);
    means[n].mean_average_recall /= static_cast<double>(total);
  }
  return means;
}

Json to_json(const OfficialResult& result, QueryGroup group) {
  Json json = Json::object();
  const std::vector<OfficialMeans> means = result.means(group);
  for (size_t n = 0; n < means.size(); ++n) {
    json["top" + std::to_string(result.at[n])] = {
        {"mAP", means[n].mean_average_precision}, {"Prec", means[n].precision}, {"mAR", means[n].mean_average_recall}};
  }
  return json;
}

}  // namespace capture
