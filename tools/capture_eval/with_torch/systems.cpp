#include "capture_eval/with_torch/systems.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "capture/retrieval/ranker.h"
#include "capture_eval/result_files.h"

namespace capture {

namespace {

constexpr uint64_t kChanceSeeds = 20;

template <class Result>
void append(std::optional<Result>& all, std::optional<Result>&& more) {
  if (!all) {
    all = std::move(more);
  } else if (more) {
    std::ranges::move(more->lines, std::back_inserter(all->lines));
    if constexpr (requires { all->groups; }) std::ranges::move(more->groups, std::back_inserter(all->groups));
  }
}

std::string at(const char* metric, int64_t n) {
  return std::string(metric) + "@" + std::to_string(n);
}

std::vector<std::string> columns_of(const Evaluation& evaluation) {
  std::vector<std::string> columns;
  if (evaluation.strict) {
    const std::vector<int64_t>& cutoffs = evaluation.strict->at;
    columns.push_back(at("strict mAP", cutoffs[0]));
    if (cutoffs.size() > 1) columns.push_back(at("strict mAP", cutoffs[1]));
    columns.push_back(at("strict Prec", cutoffs[0]));
  }
  if (evaluation.official) columns.push_back(at("official mAP", evaluation.official->at[0]));
  return columns;
}

std::vector<double> values_of(const Evaluation& evaluation, QueryGroup group) {
  std::vector<double> values;
  if (evaluation.strict) {
    const std::vector<StrictScores> means = evaluation.strict->means(group).at;
    values.push_back(means[0].average_precision);
    if (means.size() > 1) values.push_back(means[1].average_precision);
    values.push_back(means[0].precision);
  }
  if (evaluation.official) values.push_back(evaluation.official->means(group)[0].mean_average_precision);
  return values;
}

}  // namespace

System chance_system(const GroundTruth& truth, int64_t depth, const EvaluationOptions& options) {
  System chance{"chance", "mean of " + std::to_string(kChanceSeeds) + " random rankings", {}};
  for (uint64_t seed = 1; seed <= kChanceSeeds; ++seed) {
    Evaluation one = evaluate(truth, rank_by_chance(truth, depth, seed), options);
    append(chance.evaluation.strict, std::move(one.strict));
    append(chance.evaluation.official, std::move(one.official));
  }
  return chance;
}

std::vector<ReportTable> system_tables(const std::vector<System>& systems) {
  std::vector<ReportTable> tables;
  const Evaluation& model = systems.back().evaluation;
  for (const QueryGroup group : {QueryGroup::single, QueryGroup::multi, QueryGroup::all}) {
    const int64_t queries = model.strict ? model.strict->count(group) : model.official->count(group);
    if (queries == 0) continue;
    ReportTable table{.title = group_heading(group, queries),
                      .note = {},
                      .row_heading = "System",
                      .columns = columns_of(model),
                      .rows = {},
                      .compare_rows = true};
    for (const System& system : systems) {
      table.rows.push_back({system.name, system.note, values_of(system.evaluation, group)});
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

Json systems_json(const std::vector<System>& systems) {
  Json json = Json::object();
  for (const System& system : systems) {
    for (const QueryGroup group : {QueryGroup::all, QueryGroup::single, QueryGroup::multi}) {
      Json& place = json[system.name][name_of(group)];
      if (system.evaluation.official) place["product1m_official"] = to_json(*system.evaluation.official, group);
      if (system.evaluation.strict) place["strict"] = to_json(*system.evaluation.strict, group);
    }
  }
  return json;
}

}  // namespace capture
