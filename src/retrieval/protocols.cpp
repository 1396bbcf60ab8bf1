#include "capture/retrieval/protocols.h"

#include <algorithm>
#include <utility>

#include "capture/base/parallel.h"
#include "figures.h"
#include "ranking_file.h"

namespace capture {

namespace {

/// Rankings that a thread measures at a time.
constexpr size_t kTogether = 64;

Evaluation results(const GroundTruth& truth, const Rankings& rankings, const EvaluationOptions& options,
                   std::span<RankingFigures> figures) {
  Evaluation evaluation;
  if (options.protocol != Protocol::product1m_official) {
    evaluation.strict = strict_result(truth, rankings, options, figures);
  }
  if (options.protocol != Protocol::strict) {
    evaluation.official = official_result(truth, rankings, options.at, figures);
  }
  return evaluation;
}

}  // namespace

int64_t greatest(std::span<const int64_t> at) {
  return at.empty() ? 0 : std::ranges::max(at);
}

Scorer::Scorer(const GroundTruth& truth, const EvaluationOptions& options)
    : truth_(truth), options_(options), depth_(greatest(options.at)), hits_(truth) {}

RankingFigures Scorer::score(const Ranking& ranking, std::span<const int32_t> items) {
  const bool official = options_.protocol != Protocol::strict;
  RankingFigures figures{.ranked = static_cast<int64_t>(items.size())};
  if (ranking.query == kUnknown) {
    if (official) figures.official.assign(options_.at.size(), {.fault = OfficialFault::unknown_query});
    return figures;
  }
  const GroundTruthQuery& query = truth_.query(ranking.query);
  const bool strict = options_.protocol != Protocol::product1m_official && query.positives > 0;
  hits_.find(query, items, strict ? std::max(depth_, query.positives) : depth_);
  if (official) {
    figures.official.reserve(options_.at.size());
    for (const int64_t n : options_.at) figures.official.push_back(hits_.official(n));
  }
  if (strict) {
    figures.strict = {.r_precision = hits_.r_precision(),
                      .reciprocal_rank = hits_.reciprocal_rank(),
                      .group = query.several_products() ? QueryGroup::multi : QueryGroup::single};
    figures.strict.at.reserve(options_.at.size());
    for (const int64_t n : options_.at) figures.strict.at.push_back(hits_.strict(n));
  }
  return figures;
}

Evaluation evaluate(const GroundTruth& truth, const Rankings& rankings, const EvaluationOptions& options) {
  const std::span lines(rankings.lines);
  std::vector<RankingFigures> figures(lines.size());
  for_each_index((lines.size() + kTogether - 1) / kTogether, core_count(), [&](size_t part) {
    Scorer scorer(truth, options);
    const size_t begin = part * kTogether, end = std::min(lines.size(), begin + kTogether);
    for (size_t i = begin; i < end; ++i) figures[i] = scorer.score(lines[i], lines[i].items);
  });
  return results(truth, rankings, options, figures);
}

EvaluatedFile evaluate_file(const std::filesystem::path& path, const GroundTruth& truth,
                            const EvaluationOptions& options, const KeptOfFile& keep) {
  RankingFile file = read_ranking_file(path, truth, &options, keep);
  Evaluation evaluation = results(truth, file.rankings, options, file.figures);
  return {std::move(file.rankings), std::move(evaluation)};
}

const char* name_of(QueryGroup group) {
  return group == QueryGroup::all ? "all" : group == QueryGroup::single ? "single" : "multi";
}

}  // namespace capture
