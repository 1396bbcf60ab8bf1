#include "capture_eval/report_input.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>
#include <string_view>
#include <unordered_map>

#include "capture/retrieval/analysis.h"
#include "capture_eval/result_files.h"

namespace capture {

namespace {

constexpr size_t kShownResults = 10;
constexpr size_t kMostProducts = 5;  // queries with more stand together
constexpr size_t kBins = 24;

/// AP of each ranking at the first cutoff; NaN where there is none.
std::vector<double> average_precisions(const Evaluation& evaluation, size_t rankings) {
  std::vector<double> values(rankings, kNotMeasured);
  if (evaluation.strict) {
    for (const StrictLine& line : evaluation.strict->lines) values[line.ranking] = line.at[0].average_precision;
  } else {
    for (size_t i = 0; i < rankings; ++i) values[i] = evaluation.official->lines[i][0].average_precision;
  }
  return values;
}

int64_t first_cutoff(const Evaluation& evaluation) {
  return evaluation.strict ? evaluation.strict->at[0] : evaluation.official->at[0];
}

std::vector<ReportHeadline> headlines(const Evaluation& evaluation) {
  std::vector<ReportHeadline> headlines;
  for (const QueryGroup group : {QueryGroup::single, QueryGroup::multi}) {
    const std::string n = std::to_string(first_cutoff(evaluation));
    ReportHeadline headline;
    int64_t count = 0;
    if (evaluation.strict) {
      count = evaluation.strict->count(group);
      if (count == 0) continue;
      const StrictScores scores = evaluation.strict->means(group).at[0];
      headline.metric = "strict mAP@" + n;
      headline.value = scores.average_precision;
      if (evaluation.strict->at[0] == 10) headline.first_ten = scores.precision;
    } else {
      count = evaluation.official->count(group);
      if (count == 0) continue;
      headline.metric = "official mAP@" + n;
      headline.value = evaluation.official->means(group)[0].mean_average_precision;
    }
    headline.queries = group_heading(group, count);
    headlines.push_back(std::move(headline));
  }
  return headlines;
}

/// The sums of a part of the queries, one a column of the table.
struct Part {
  int64_t queries = 0;
  std::vector<double> sums;

  void add(const std::vector<double>& values) {
    sums.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) sums[i] += values[i];
    ++queries;
  }
};

size_t products_of(const GroundTruth& truth, const Ranking& ranking) {
  return std::min(kMostProducts, truth.query(ranking.query).distinct_labels.size());
}

/// The figures at the first cutoff by number of products; nothing where all queries show one.
std::vector<ReportTable> by_products(const GroundTruth& truth, const Rankings& rankings, const Evaluation& evaluation) {
  std::map<size_t, Part> parts;
  const std::string n = "@" + std::to_string(first_cutoff(evaluation));
  ReportTable table{.title = "By number of products a query shows",
                    .note = {},
                    .row_heading = "Products",
                    .columns = {},
                    .rows = {},
                    .compare_rows = false};
  if (evaluation.strict) {
    table.columns = {"strict mAP" + n, "Prec" + n, "Recall" + n, "hit rate" + n, "label coverage" + n, "MRR"};
    for (const StrictLine& line : evaluation.strict->lines) {
      const StrictScores& scores = line.at[0];
      parts[products_of(truth, rankings.lines[line.ranking])].add({scores.average_precision, scores.precision,
                                                                   scores.recall, scores.hit_rate,
                                                                   scores.label_coverage, line.reciprocal_rank});
    }
  } else {
    table.columns = {"official mAP" + n, "Prec" + n, "mAR" + n};
    for (size_t i = 0; i < rankings.lines.size(); ++i) {
      if (rankings.lines[i].query == kUnknown) continue;
      const OfficialScores& scores = evaluation.official->lines[i][0];
      parts[products_of(truth, rankings.lines[i])].add(
          {scores.average_precision, scores.precision, scores.average_recall});
    }
  }
  for (const auto& [products, part] : parts) {
    ReportRow row{.name = std::to_string(products) + (products == kMostProducts ? " or more" : ""),
                  .note = std::to_string(part.queries) + (part.queries == 1 ? " query" : " queries"),
                  .values = {}};
    for (const double sum : part.sums) row.values.push_back(sum / static_cast<double>(part.queries));
    table.rows.push_back(std::move(row));
  }
  if (table.rows.size() < 2) return {};
  return {std::move(table)};
}

ReportChart precision_chart(const GroundTruth& truth, const Rankings& rankings) {
  ReportChart chart{.title = "Precision by recall", .x_label = "recall, %", .y_label = "precision, %", .series = {}};
  const auto add = [&](const char* name, const QueryFilter& use) {
    ReportSeries series{.name = name, .x = {}, .y = {}};
    for (const double precision : precision_by_recall(truth, rankings, use)) {
      series.x.push_back(static_cast<double>(series.x.size()));
      series.y.push_back(100 * precision);
    }
    if (!series.x.empty()) chart.series.push_back(std::move(series));
  };
  add("one product", [](const GroundTruthQuery& query) { return !query.several_products(); });
  add("several", [](const GroundTruthQuery& query) { return query.several_products(); });
  return chart;
}

std::vector<ReportHistogram> histograms(const GroundTruth& truth, const Rankings& rankings, int64_t n) {
  const ScoreHistogram scores = score_histogram(truth, rankings, n, kBins);
  if (scores.hits.empty() && scores.misses.empty()) return {};
  ReportHistogram histogram{.title = "Scores of the first " + std::to_string(n) + " results",
                            .x_label = "score",
                            .low = scores.low,
                            .high = scores.high,
                            .series = {}};
  histogram.series.push_back({.name = "hits", .x = {}, .y = scores.hits});
  histogram.series.push_back({.name = "misses", .x = {}, .y = scores.misses});
  return {std::move(histogram)};
}

void add_labels(ReportInput& input, const GroundTruth& truth, const Rankings& rankings,
                const std::vector<double>& values) {
  constexpr int64_t kPlaces = kShownResults;
  for (const LabelResult& result : results_by_label(truth, rankings, values, kPlaces)) {
    input.labels.push_back({.name = std::string(truth.label_name(result.label)),
                            .queries = static_cast<size_t>(result.queries),
                            .items = static_cast<size_t>(truth.items_with(result.label)),
                            .average_precision = result.value,
                            .found = result.found});
  }
  std::unordered_map<int32_t, size_t> examples;
  for (int32_t item = 0; item < truth.gallery_size(); ++item) {
    examples.emplace(truth.item_label(item), static_cast<size_t>(item));
  }
  const auto example = [&](int32_t label) { return examples.contains(label) ? examples[label] : kNoItem; };
  for (const Confusion& confusion : confusions(truth, rankings, kPlaces, 12)) {
    input.confusions.push_back({.asked = std::string(truth.label_name(confusion.asked)),
                                .found = std::string(truth.label_name(confusion.found)),
                                .places = confusion.places,
                                .share = confusion.places / confusion.all,
                                .asked_item = example(confusion.asked),
                                .found_item = example(confusion.found)});
  }
}

ReportItem item_of(const ListedProduct& product) {
  return {.id = product.id, .title = product.caption, .labels = product.labels, .thumbnail = {}};
}

std::vector<ReportQuery> report_queries(const GroundTruth& truth, std::span<const ProductList> lists,
                                        const Rankings& rankings, const std::vector<double>& values) {
  std::unordered_map<std::string_view, const ListedProduct*> listed;
  for (const ProductList& list : lists) {
    for (const ListedProduct& product : list.products) listed[product.id] = &product;
  }
  std::vector<ReportQuery> queries;
  for (size_t i = 0; i < rankings.lines.size(); ++i) {
    const Ranking& ranking = rankings.lines[i];
    ReportQuery query{.item = {.id = ranking.query_id, .title = {}, .labels = {}, .thumbnail = {}},
                      .average_precision = values[i],
                      .positives = 0,
                      .first_hit = 0,
                      .ranking = {}};
    if (const auto found = listed.find(ranking.query_id); found != listed.end()) query.item = item_of(*found->second);
    if (ranking.query != kUnknown) {
      const GroundTruthQuery& truth_query = truth.query(ranking.query);
      query.positives = static_cast<size_t>(truth_query.positives);
      query.first_hit = static_cast<size_t>(first_hit(truth, truth_query, ranking.items));
    }
    for (size_t place = 0; place < std::min(kShownResults, ranking.items.size()); ++place) {
      if (ranking.items[place] == kUnknown) continue;
      const double score = place < ranking.scores.size() ? ranking.scores[place] : kNotMeasured;
      query.ranking.push_back({static_cast<size_t>(ranking.items[place]), score});
    }
    queries.push_back(std::move(query));
  }
  return queries;
}

}  // namespace

ReportInput ranking_report(const GroundTruth& truth, const ProductList& gallery, std::span<const ProductList> queries,
                           const Rankings& rankings, const Evaluation& evaluation) {
  const std::vector<double> values = average_precisions(evaluation, rankings.lines.size());
  const int64_t n = first_cutoff(evaluation);
  ReportInput input;
  input.created = date_and_time();
  input.headlines = headlines(evaluation);
  input.protocols = protocol_tables(evaluation);
  input.breakdowns = by_products(truth, rankings, evaluation);
  input.curves = {precision_chart(truth, rankings)};
  input.histograms = histograms(truth, rankings, n);
  add_labels(input, truth, rankings, values);
  input.query_metric = (evaluation.strict ? "strict AP@" : "official AP@") + std::to_string(n);
  input.queries = report_queries(truth, queries, rankings, values);
  // The truth's order of items, in which an id that is listed twice stands once. An item shows its first label.
  input.gallery.resize(static_cast<size_t>(truth.gallery_size()));
  for (const ListedProduct& product : gallery.products) {
    const int32_t item = truth.find_item(product.id);
    ReportItem& shown = input.gallery[static_cast<size_t>(item)];
    shown = item_of(product);
    shown.labels = {std::string(truth.label_name(truth.item_label(item)))};
  }
  return input;
}

std::string date_and_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  char text[64];
  return std::strftime(text, sizeof text, "%d %B %Y, %H:%M", ::localtime_r(&now, &local)) > 0 ? text : "";
}

std::string command_line(const std::vector<std::string>& words) {
  std::string line = "capture_eval";
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool plain = !word.empty() && word.find_first_of(" '\"\\$`!*?;&|<>()[]{}#~\t\n") == std::string::npos;
    line += plain ? " " + word : " '" + word + "'";
  }
  return line;
}

}  // namespace capture
