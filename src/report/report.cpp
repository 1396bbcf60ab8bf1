// The report of one run: its sections in order, and those that are neither tables nor photos.
#include "capture/report/report.h"

#include <algorithm>
#include <cmath>

#include "capture/report/plot.h"
#include "cards.h"
#include "sections.h"

namespace capture {

namespace {

void write_facts(HtmlWriter& html, std::span<const ReportFact> facts) {
  if (facts.empty()) return;
  const auto list = html.open("dl", {{"class", "facts"}});
  for (const ReportFact& fact : facts) {
    const auto pair = html.open("div");
    html.element("dt", {}, fact.name);
    html.element("dd", {{"dir", "auto"}}, fact.value);
  }
}

void write_commands(HtmlWriter& html, std::span<const ReportCommand> commands) {
  if (commands.empty()) return;
  html.element("h3", {}, "The same numbers again");
  for (const ReportCommand& command : commands) {
    html.element("p", {{"class", "purpose"}}, command.purpose);
    const auto box = html.open("pre", {{"class", "command"}});
    html.element("code", {}, command.command);
  }
}

QueryPage query_page(const ReportInput& input, const std::string& folder) {
  QueryPage page{.metric = input.query_metric,
                 .runs = {input.run},
                 .gallery = input.gallery,
                 .queries = {},
                 .chosen = input.chosen,
                 .shown = input.queries_shown,
                 .seed = input.seed,
                 .folder = folder};
  for (const ReportQuery& query : input.queries) {
    page.queries.push_back({.item = &query.item,
                            .positives = query.positives,
                            .first_hit = query.first_hit,
                            .values = {query.average_precision},
                            .rankings = {&query.ranking}});
  }
  return page;
}

}  // namespace

double value_at(const ReportRow& row, size_t column) {
  return column < row.values.size() ? row.values[column] : kNotMeasured;
}

double best_value(const ReportTable& table, size_t column) {
  double best = kNotMeasured;
  size_t measured = 0;
  for (const ReportRow& row : table.rows) {
    const double value = value_at(row, column);
    if (!std::isfinite(value)) continue;
    best = measured++ == 0 ? value : std::max(best, value);
  }
  return table.compare_rows && measured > 1 ? best : kNotMeasured;
}

void write_charts(HtmlWriter& html, const ReportInput& input) {
  std::vector<std::pair<const ReportChart*, std::string>> drawn;
  for (const ReportChart& chart : input.charts) {
    if (std::string svg = render_chart(chart); !svg.empty()) drawn.emplace_back(&chart, std::move(svg));
  }
  if (drawn.empty()) return;
  const auto section = html.open("section", {{"id", "training"}});
  html.element("h2", {}, input.charts_heading);
  const auto grid = html.open("div", {{"class", "charts"}});
  for (const auto& [chart, svg] : drawn) {
    const auto figure = html.open("figure");
    html.element("figcaption", {}, chart->title);
    html.raw(svg);
  }
}

void write_details(HtmlWriter& html, std::string_view heading, std::span<const ReportFact> facts,
                   std::span<const ReportCommand> commands, std::string_view configuration) {
  if (facts.empty() && commands.empty() && configuration.empty()) return;
  const auto section = html.open("section", {{"id", "details"}});
  html.element("h2", {}, heading);
  write_facts(html, facts);
  write_commands(html, commands);
  if (configuration.empty()) return;
  const auto folded = html.open("details");
  html.element("summary", {}, "The whole configuration");
  const auto box = html.open("pre", {{"tabindex", "0"}, {"role", "group"}, {"aria-label", "Configuration"}});
  html.element("code", {}, configuration);
}

RenderedReport render_report(const ReportInput& input, const std::string& folder) {
  RenderedReport rendered;
  HtmlWriter body;
  write_headlines(body, input);
  write_systems(body, input);
  write_protocols(body, input);
  write_breakdowns(body, input);
  write_curves(body, input);
  write_labels(body, input);
  write_charts(body, input);
  write_query_section(body, query_page(input, folder), rendered);
  write_details(body, input.facts_heading, input.facts, input.commands, input.configuration);

  PageFrame frame{.title = input.title,
                  .dataset = input.dataset,
                  .origin = {},
                  .sections = {{"systems", "Systems"},
                               {"protocols", "Metrics by N"},
                               {"breakdowns", "By kind of query"},
                               {"curves", "Precision and scores"},
                               {"labels", "Labels"},
                               {"training", input.charts_heading},
                               {"queries", "Queries"},
                               {"details", "Details"}},
                  .folder = folder};
  for (const std::string& part : {input.run, input.created}) {
    if (!part.empty()) frame.origin.push_back(part);
  }
  write_frame(rendered, frame, body.take());
  return rendered;
}

void write_report(const std::filesystem::path& path, const ReportInput& input) {
  write_page(path, render_report(input, files_folder(path)));
}

}  // namespace capture
