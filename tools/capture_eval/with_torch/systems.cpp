#include "capture_eval/with_torch/systems.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "capture/base/files.h"
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
                      .columns = figure_columns(model),
                      .rows = {},
                      .compare_rows = true};
    for (const System& system : systems) {
      table.rows.push_back({system.name, system.note, figure_values(system.evaluation, group)});
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

void write_systems(OutputFolder& output, const GroundTruth& truth, const std::vector<System>& systems) {
  const size_t queries = truth.queries().size();
  AtomicFile file(output.file("systems.jsonl"));
  for (const System& system : systems) {
    const auto& [official, strict] = system.evaluation;
    size_t next_strict = 0;
    const size_t rankings = official ? official->lines.size() : strict->lines.size();
    for (size_t i = 0; i < rankings; ++i) {
      const size_t q = official ? i % queries : strict->lines[i].ranking;
      const GroundTruthQuery& query = truth.query(static_cast<int32_t>(q));
      std::string text;
      JsonLine line(text);
      line.add("system", system.name);
      line.add("query", query.id);
      line.add("group", name_of(query.several_products() ? QueryGroup::multi : QueryGroup::single));
      if (official) add_figures(line, *official, i);
      if (strict && next_strict < strict->lines.size() && strict->lines[next_strict].ranking == q) {
        add_figures(line, *strict, strict->lines[next_strict++]);
      }
      line.end();
      file.write(text);
    }
  }
  file.commit();
}

}  // namespace capture
