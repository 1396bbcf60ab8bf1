#include "capture_eval/with_torch/report_input.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <unordered_map>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture_eval/report_input.h"

namespace capture {

namespace {

/// The photo of every sample, by id.
std::unordered_map<std::string_view, std::span<const std::byte>> thumbnails(const Dataset& dataset) {
  std::unordered_map<std::string_view, std::span<const std::byte>> by_id;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const SampleView sample = dataset.sample(i);
    by_id.emplace(sample.id(), sample.thumbnail());
  }
  return by_id;
}

void add_photos(ReportInput& input, const Measured& measured) {
  const auto gallery = thumbnails(measured.gallery);
  for (ReportItem& item : input.gallery) {
    if (const auto found = gallery.find(item.id); found != gallery.end()) item.thumbnail = found->second;
  }
  const auto queries = thumbnails(measured.queries);
  for (ReportQuery& query : input.queries) {
    if (const auto found = queries.find(query.item.id); found != queries.end()) query.item.thumbnail = found->second;
  }
}

/// What the headlines hold the model against. They stand in the order of the groups that have queries.
void add_reference(ReportInput& input, const System& reference) {
  const auto& strict = reference.evaluation.strict;
  if (!strict) return;
  size_t next = 0;
  for (const QueryGroup group : {QueryGroup::single, QueryGroup::multi}) {
    if (strict->count(group) == 0 || next == input.headlines.size()) continue;
    const StrictScores scores = strict->means(group).at[0];
    ReportHeadline& headline = input.headlines[next++];
    headline.reference = reference.name;
    headline.reference_value = scores.average_precision;
    if (strict->at[0] == 10) headline.reference_first_ten = scores.precision;
  }
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
  ReportInput input = ranking_report(measured.truth, measured.gallery_list, std::span(&measured.query_list, 1),
                                     measured.rankings, measured.model.evaluation);
  input.systems = system_tables(measured.systems);
  if (measured.reference != nullptr) add_reference(input, *measured.reference);
  add_photos(input, measured);
  return input;
}

std::vector<ReportChart> training_charts(const std::filesystem::path& metrics) {
  if (!is_there(metrics)) return {};
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
