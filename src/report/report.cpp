// The page as a whole, and its parts that are neither tables nor photos.
#include "capture/report/report.h"

#include <algorithm>
#include <cmath>

#include "capture/base/files.h"
#include "capture/report/plot.h"
#include "sections.h"

namespace capture {

namespace {

void write_head(HtmlWriter& html, const ReportInput& input) {
  const auto head = html.open("head");
  html.empty("meta", {{"charset", "utf-8"}});
  html.empty("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  html.empty("meta", {{"name", "color-scheme"}, {"content", "light dark"}});
  html.element("title", {}, input.title + (input.run.empty() ? "" : " · " + input.run));
  const auto style = html.open("style");
  html.raw(style_sheet());
}

void write_banner(HtmlWriter& html, const ReportInput& input) {
  const auto banner = html.open("header", {{"class", "banner"}});
  html.element("h1", {{"dir", "auto"}}, input.title);
  if (!input.dataset.empty()) html.element("p", {{"class", "origin"}, {"dir", "auto"}}, input.dataset);
  if (input.run.empty() && input.created.empty()) return;
  const auto line = html.open("p", {{"class", "origin"}});
  for (const std::string* part : {&input.run, &input.created}) {
    if (!part->empty()) html.element("bdi", {}, *part);
  }
}

/// Links to the sections that `body` really has.
void write_contents(HtmlWriter& html, const ReportInput& input, std::string_view body) {
  const std::pair<std::string_view, std::string_view> sections[] = {{"systems", "Systems"},
                                                                    {"protocols", "Metrics by N"},
                                                                    {"training", input.charts_heading},
                                                                    {"queries", "Queries"},
                                                                    {"details", "Details"}};
  const auto nav = html.open("nav", {{"aria-label", "Sections"}});
  for (const auto& [id, name] : sections) {
    const std::string quoted = '"' + std::string(id) + '"';
    if (body.find("<section id=" + quoted) == std::string_view::npos) continue;
    html.element("a", {{"href", '#' + std::string(id)}}, name);
  }
}

void write_facts(HtmlWriter& html, const ReportInput& input) {
  if (input.facts.empty()) return;
  const auto list = html.open("dl", {{"class", "facts"}});
  for (const ReportFact& fact : input.facts) {
    const auto pair = html.open("div");
    html.element("dt", {}, fact.name);
    html.element("dd", {{"dir", "auto"}}, fact.value);
  }
}

void write_commands(HtmlWriter& html, const ReportInput& input) {
  if (input.commands.empty()) return;
  html.element("h3", {}, "The same numbers again");
  for (const ReportCommand& command : input.commands) {
    html.element("p", {{"class", "purpose"}}, command.purpose);
    const auto box = html.open("pre", {{"class", "command"}});
    html.element("code", {}, command.command);
  }
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

void write_details(HtmlWriter& html, const ReportInput& input) {
  if (input.facts.empty() && input.commands.empty() && input.configuration.empty()) return;
  const auto section = html.open("section", {{"id", "details"}});
  html.element("h2", {}, input.facts_heading);
  write_facts(html, input);
  write_commands(html, input);
  if (input.configuration.empty()) return;
  const auto folded = html.open("details");
  html.element("summary", {}, "The whole configuration");
  const auto box = html.open("pre", {{"tabindex", "0"}, {"role", "group"}, {"aria-label", "Configuration"}});
  html.element("code", {}, input.configuration);
}

std::string render_report(const ReportInput& input) {
  HtmlWriter body;
  write_headlines(body, input);
  write_systems(body, input);
  write_protocols(body, input);
  write_charts(body, input);
  write_queries(body, input);
  write_details(body, input);
  const std::string content = body.take();

  HtmlWriter html;
  html.raw("<!doctype html>\n");
  {
    const auto page = html.open("html", {{"lang", "en"}});
    write_head(html, input);
    const auto visible = html.open("body");
    html.element("a", {{"class", "skip"}, {"href", "#content"}}, "Skip to the content");
    write_banner(html, input);
    write_contents(html, input, content);
    {
      const auto main = html.open("main", {{"id", "content"}});
      html.raw(content);
    }
    const auto script = html.open("script");
    html.raw(page_script());
  }
  html.raw("\n");
  return html.take();
}

void write_report(const std::filesystem::path& path, const ReportInput& input) {
  write_file(path, render_report(input));
}

}  // namespace capture
