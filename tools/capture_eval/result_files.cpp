#include "capture_eval/result_files.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/base/parallel.h"
#include "capture/retrieval/trec.h"

namespace capture {

namespace {

constexpr std::array kGroups = {QueryGroup::all, QueryGroup::single, QueryGroup::multi};
constexpr size_t kLoggedLines = 200;
constexpr size_t kLinesTogether = 256;  // that a thread writes at a time
constexpr size_t kTrecDepth = 1000;     // as is the custom

std::string top(int64_t n) {
  return "top" + std::to_string(n);
}

std::string at(const char* metric, int64_t n) {
  return std::string(metric) + "@" + std::to_string(n);
}

}  // namespace

void add_figures(JsonLine& line, const OfficialResult& official, size_t index) {
  line.open_object("product1m_official");
  for (size_t n = 0; n < official.at.size(); ++n) {
    const OfficialScores& scores = official.lines[index][n];
    line.open_object(top(official.at[n]));
    line.add("AP", scores.average_precision);
    line.add("Prec", scores.precision);
    line.add("AR", scores.average_recall);
    line.close_object();
  }
  line.close_object();
}

void add_figures(JsonLine& line, const StrictResult& strict, const StrictLine& figures) {
  line.open_object("strict");
  for (size_t n = 0; n < strict.at.size(); ++n) {
    const StrictScores& scores = figures.at[n];
    line.open_object(top(strict.at[n]));
    line.add("AP", scores.average_precision);
    line.add("Prec", scores.precision);
    line.add("Recall", scores.recall);
    line.add("hit_rate", scores.hit_rate);
    line.add("label_coverage", scores.label_coverage);
    line.close_object();
  }
  line.add("R-Precision", figures.r_precision);
  line.add("RR", figures.reciprocal_rank);
  line.close_object();
}

namespace {

void add_query(JsonLine& line, const GroundTruth& truth, const Ranking& ranking) {
  line.add("line", ranking.line);
  line.add("query", ranking.query_id);
  if (ranking.query == kUnknown) return;
  const GroundTruthQuery& query = truth.query(ranking.query);
  line.add("group", name_of(query.several_products() ? QueryGroup::multi : QueryGroup::single));
  line.open_array("labels");
  for (const int32_t label : query.labels) line.add_element(truth.label_name(label));
  line.close_array();
  line.add("positives", query.positives);
}

ReportTable empty_table(QueryGroup group, int64_t queries, std::vector<std::string> columns) {
  return {.title = group_heading(group, queries),
          .note = {},
          .row_heading = "N",
          .columns = std::move(columns),
          .rows = {},
          .compare_rows = false};
}

ReportTable table(const OfficialResult& result, QueryGroup group) {
  ReportTable table = empty_table(group, result.count(group), {"mAP", "Prec", "mAR"});
  const std::vector<OfficialMeans> means = result.means(group);
  for (size_t n = 0; n < means.size(); ++n) {
    table.rows.push_back({std::to_string(result.at[n]),
                          "",
                          {means[n].mean_average_precision, means[n].precision, means[n].mean_average_recall}});
  }
  return table;
}

ReportTable table(const StrictResult& result, QueryGroup group) {
  ReportTable table = empty_table(group, result.count(group), {"mAP", "Prec", "Recall", "hit rate", "label coverage"});
  const StrictMeans means = result.means(group);
  for (size_t n = 0; n < means.at.size(); ++n) {
    const StrictScores& scores = means.at[n];
    table.rows.push_back(
        {std::to_string(result.at[n]),
         "",
         {scores.average_precision, scores.precision, scores.recall, scores.hit_rate, scores.label_coverage}});
  }
  char note[96];
  std::snprintf(note, sizeof note, "Over the whole ranking: R-Precision %.1f, MRR %.1f", 100 * means.r_precision,
                100 * means.mean_reciprocal_rank);
  table.note = note;
  return table;
}

int64_t query_count(const Evaluation& evaluation) {
  return evaluation.strict ? evaluation.strict->count(QueryGroup::all) : evaluation.official->count(QueryGroup::all);
}

template <class Result>
void add_tables(std::vector<ReportProtocol>& protocols, const char* name, const Result& result) {
  protocols.push_back({name, {}});
  for (const QueryGroup group : kGroups) {
    const int64_t queries = result.count(group);
    // A group that holds every query says nothing that "all" does not.
    const bool repeats = group != QueryGroup::all && queries == result.count(QueryGroup::all);
    if (queries > 0 && !repeats) protocols.back().tables.push_back(table(result, group));
  }
}

}  // namespace

std::string group_heading(QueryGroup group, int64_t queries) {
  const std::string_view what = group == QueryGroup::all      ? "All queries"
                                : group == QueryGroup::single ? "Photos of one product"
                                                              : "Photos of several products";
  return std::string(what) + " (" + std::to_string(queries) + ")";
}

std::vector<std::string> figure_columns(const Evaluation& evaluation) {
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

std::vector<double> figure_values(const Evaluation& evaluation, QueryGroup group) {
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

ReportTable label_part_table(const Evaluation& evaluation, const Rankings& rankings, const LabelSplit& split) {
  ReportTable table{.title = "By whether training showed the labels",
                    .note = {},
                    .row_heading = "Labels of the query",
                    .columns = figure_columns(evaluation),
                    .rows = {},
                    .compare_rows = false};
  for (const LabelPart part : kLabelParts) {
    const Evaluation figures = split.figures(evaluation, rankings, part);
    const int64_t queries = query_count(figures);
    if (queries == 0) continue;
    table.rows.push_back({std::string(name_of(part)) + " (" + std::to_string(queries) + ")", "",
                          figure_values(figures, QueryGroup::all)});
  }
  return table;
}

Json label_parts_json(const Evaluation& evaluation, const Rankings& rankings, const LabelSplit& split) {
  Json json = Json::object();
  for (const LabelPart part : kLabelParts) {
    const Evaluation figures = split.figures(evaluation, rankings, part);
    Json& place = json[name_of(part)];
    place["queries"] = query_count(figures);
    if (query_count(figures) == 0) continue;
    if (figures.official) place["product1m_official"] = to_json(*figures.official, QueryGroup::all);
    if (figures.strict) place["strict"] = to_json(*figures.strict, QueryGroup::all);
  }
  return json;
}

Json protocol_json(const EvaluationOptions& options) {
  const char* const name = options.protocol == Protocol::both     ? "both"
                           : options.protocol == Protocol::strict ? "strict"
                                                                  : "product1m_official";
  return {{"name", name}, {"at", options.at}, {"skip_unanswerable", options.skip_unanswerable}};
}

Json metrics_json(const GroundTruth& truth, const Rankings& rankings, const Evaluation& evaluation, const Json& about) {
  Json json = Json::object();
  Json groups = Json::object();
  Json sizes = {
      {"gallery", truth.gallery_size()}, {"queries", truth.queries().size()}, {"rankings", rankings.lines.size()}};
  for (const QueryGroup group : kGroups) {
    Json& place = group == QueryGroup::all ? json : groups[name_of(group)];
    if (evaluation.official) place["product1m_official"] = to_json(*evaluation.official, group);
    if (evaluation.strict) place["strict"] = to_json(*evaluation.strict, group);
    if (group == QueryGroup::all) continue;
    place["queries"] = evaluation.strict ? evaluation.strict->count(group) : evaluation.official->count(group);
  }
  if (evaluation.strict) sizes["skipped_unanswerable"] = evaluation.strict->skipped.size();
  if (evaluation.official) sizes["odd_lines"] = evaluation.official->odd.size();
  json["groups"] = groups;
  json["sizes"] = sizes;
  json.update(about);
  return json;
}

void write_query_files(OutputFolder& output, const GroundTruth& truth, const Rankings& rankings,
                       const Evaluation& evaluation, const LabelSplit* split) {
  const size_t count = rankings.lines.size();
  std::vector<const StrictLine*> strict(count);  // null: left out
  if (evaluation.strict) {
    for (const StrictLine& line : evaluation.strict->lines) strict[line.ranking] = &line;
  }
  std::vector<std::string> texts((count + kLinesTogether - 1) / kLinesTogether);
  for_each_index(texts.size(), core_count(), [&](size_t part) {
    const size_t begin = part * kLinesTogether;
    for (size_t i = begin; i < std::min(count, begin + kLinesTogether); ++i) {
      JsonLine line(texts[part]);
      add_query(line, truth, rankings.lines[i]);
      const int32_t query = rankings.lines[i].query;
      if (split != nullptr && query != kUnknown) line.add("label_part", name_of(split->part(query)));
      if (evaluation.official) add_figures(line, *evaluation.official, i);
      if (strict[i] != nullptr) add_figures(line, *evaluation.strict, *strict[i]);
      line.end();
    }
  });
  AtomicFile per_query(output.file("per_query.jsonl"));
  for (const std::string& text : texts) per_query.write(text);
  per_query.commit();
  if (!evaluation.official) return;
  AtomicFile odd_lines(output.file("odd_lines.jsonl"));
  for (const OddLine& odd : evaluation.official->odd) {
    odd_lines.write(to_line({{"where", odd.where}, {"id", odd.id}, {"reason", odd.reason}, {"effect", odd.effect}}) +
                    "\n");
  }
  odd_lines.commit();
}

void write_trec(OutputFolder& output, const Rankings& rankings, const GroundTruth& truth) {
  write_trec_run(output.file("run.trec"), rankings, truth, kTrecDepth, "capture");
  write_trec_qrels(output.file("qrels.trec"), truth);
}

void log_odd_lines(const Evaluation& evaluation) {
  if (evaluation.strict && !evaluation.strict->skipped.empty()) {
    log::warn("strict leaves out {} quer{} without an item of its labels in the gallery, {} '{}'",
              evaluation.strict->skipped.size(), evaluation.strict->skipped.size() == 1 ? "y" : "ies",
              evaluation.strict->skipped.size() == 1 ? "namely" : "the first is", evaluation.strict->skipped[0].id);
  }
  if (!evaluation.official) return;
  size_t lost = 0, others = 0;
  for (const OddLine& odd : evaluation.official->odd) {
    if (odd.oddity != Oddity::lost) {
      ++others;
    } else if (++lost <= kLoggedLines) {
      log::warn("{}: query '{}': {}; {}", odd.where, odd.id, odd.reason, odd.effect);
    }
  }
  if (lost > kLoggedLines) log::warn("and {} more lines that the published script gives up on", lost - kLoggedLines);
  if (others > 0) {
    log::info(
        "{} remark(s) on lines that count in full, such as repeated labels and short rankings; odd_lines.jsonl "
        "has them all",
        others);
  }
}

std::vector<ReportProtocol> protocol_tables(const Evaluation& evaluation) {
  std::vector<ReportProtocol> protocols;
  if (evaluation.strict) add_tables(protocols, "strict", *evaluation.strict);
  if (evaluation.official) add_tables(protocols, "product1m_official", *evaluation.official);
  return protocols;
}

}  // namespace capture
