#include "capture_eval/with_torch/report_input.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture_eval/result_files.h"

namespace capture {

namespace {

constexpr size_t kShownResults = 10;

ReportItem item_of(const SampleView& sample) {
  ReportItem item{.id = std::string(sample.id()),
                  .title = std::string(sample.title()),
                  .labels = {},
                  .thumbnail = sample.thumbnail()};
  for (const std::string_view label : sample.labels()) item.labels.emplace_back(label);
  return item;
}

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

std::vector<ReportQuery> report_queries(const Measured& measured) {
  const std::vector<double> scores = average_precisions(measured.model.evaluation, measured.rankings.lines.size());
  std::vector<ReportQuery> queries;
  for (size_t i = 0; i < measured.rankings.lines.size(); ++i) {
    const Ranking& ranking = measured.rankings.lines[i];
    ReportQuery query{.item = item_of(measured.queries.sample(static_cast<int64_t>(i))),
                      .average_precision = scores[i],
                      .positives = static_cast<size_t>(measured.truth.query(ranking.query).positives),
                      .ranking = {}};
    for (size_t place = 0; place < std::min(kShownResults, ranking.items.size()); ++place) {
      query.ranking.push_back({static_cast<size_t>(ranking.items[place]), ranking.scores[place]});
    }
    queries.push_back(std::move(query));
  }
  return queries;
}

std::vector<ReportHeadline> headlines(const Measured& measured) {
  std::vector<ReportHeadline> headlines;
  const auto& strict = measured.model.evaluation.strict;
  if (!strict) return headlines;
  for (const QueryGroup group : {QueryGroup::single, QueryGroup::multi}) {
    const int64_t count = strict->count(group);
    if (count == 0) continue;
    const StrictScores scores = strict->means(group).at[0];
    const bool ten = strict->at[0] == 10;
    ReportHeadline headline{.queries = group_heading(group, count),
                            .metric = "strict mAP@" + std::to_string(strict->at[0]),
                            .value = scores.average_precision,
                            .first_ten = ten ? scores.precision : kNotMeasured,
                            .reference = {}};
    if (measured.reference != nullptr) {
      const StrictScores other = measured.reference->evaluation.strict->means(group).at[0];
      headline.reference = measured.reference->name;
      headline.reference_value = other.average_precision;
      headline.reference_first_ten = ten ? other.precision : kNotMeasured;
    }
    headlines.push_back(std::move(headline));
  }
  return headlines;
}

/// One of the run's figures over its steps.
struct Curve {
  const char* key;
  const char* name;
};

ReportSeries series(const std::vector<Json>& lines, const Curve& curve, bool validation) {
  ReportSeries series{.name = curve.name, .x = {}, .y = {}};
  for (const Json& line : lines) {
    if (!line.is_object() || line.contains("validation") != validation || !line.value("step", Json()).is_number()) {
      continue;
    }
    const Json& values = validation ? line["validation"] : line;
    if (!values.is_object() || !values.contains(curve.key)) continue;
    const Json& value = values[curve.key];
    series.x.push_back(line["step"].get<double>());
    series.y.push_back(value.is_number() ? value.get<double>() : kNotMeasured);
  }
  return series;
}

std::vector<Json> read_lines(const std::filesystem::path& metrics) {
  std::vector<Json> lines;
  const std::string text = read_file(metrics);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    try {
      lines.push_back(parse_json(std::string_view(text).substr(begin, end - begin), metrics.string()).root);
    } catch (const UserError&) {
      // The last line of a run that was cut off, or is still being written.
    }
    begin = end + 1;
  }
  return lines;
}

}  // namespace

ReportInput report_input(const Measured& measured) {
  ReportInput input;
  input.headlines = headlines(measured);
  input.systems = system_tables(measured.systems);
  input.protocols = protocol_tables(measured.model.evaluation);
  for (int64_t i = 0; i < measured.gallery.size(); ++i) input.gallery.push_back(item_of(measured.gallery.sample(i)));
  input.queries = report_queries(measured);
  const Evaluation& evaluation = measured.model.evaluation;
  const int64_t first = evaluation.strict ? evaluation.strict->at[0] : evaluation.official->at[0];
  input.query_metric = "AP@" + std::to_string(first);
  return input;
}

std::vector<ReportChart> training_charts(const std::filesystem::path& metrics) {
  if (!std::filesystem::exists(metrics)) return {};
  const std::vector<Json> lines = read_lines(metrics);
  constexpr std::array kParts = {Curve{"contrastive", "contrastive"}, Curve{"masked_tokens", "masked tokens"},
                                 Curve{"masked_regions", "masked regions"}};
  ReportChart loss{.title = "Loss", .y_label = "loss", .series = {}};
  loss.series = {series(lines, {"loss", "training"}, false), series(lines, {"loss", "validation"}, true)};
  ReportChart parts{.title = "Objectives", .y_label = "loss", .series = {}};
  ReportChart validation{.title = "Objectives on validation data", .y_label = "loss", .series = {}};
  for (const Curve& part : kParts) {
    parts.series.push_back(series(lines, part, false));
    validation.series.push_back(series(lines, part, true));
  }
  ReportChart rate{.title = "Learning rate", .y_label = "", .series = {}};
  rate.series = {series(lines, {"learning_rate", "learning rate"}, false)};
  return {loss, parts, validation, rate};
}

}  // namespace capture
