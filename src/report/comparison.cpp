// The page that holds runs against each other.
#include "capture/report/comparison.h"

#include <algorithm>
#include <cmath>

#include "capture/report/plot.h"
#include "cards.h"
#include "sections.h"

namespace capture {

namespace {

constexpr double kSignificant = 0.05;
constexpr size_t kMany = 24;  // rows of a table
constexpr size_t kEnds = 5;   // of a longer one that are shown at once, from either end

std::string interval(const ComparedFigure& figure) {
  return signed_points(figure.low) + " to " + signed_points(figure.high);
}

/// A cell that sorts by its number and shows more than that.
void write_number(HtmlWriter& html, std::string_view type, std::string_view text, double value) {
  html.element("td", {{"class", type}, {"data-value", fixed(value, 6)}}, text);
}

/// Queries won, tied and lost, as a bar and in words.
void write_share_of_wins(HtmlWriter& html, const ComparedFigure& figure) {
  const double all = static_cast<double>(std::max<size_t>(1, figure.won + figure.lost + figure.tied));
  const auto cell = html.open(
      "td", {{"class", "wins"},
             {"data-value", fixed((static_cast<double>(figure.won) - static_cast<double>(figure.lost)) / all, 6)}});
  html.element("span", {{"class", "value"}},
               grouped(figure.won) + " / " + grouped(figure.tied) + " / " + grouped(figure.lost));
  const auto bar = html.open("span", {{"class", "bar"}, {"aria-hidden", "true"}});
  html.element("i", {{"class", "won"}, {"style", "width:" + percent(static_cast<double>(figure.won) / all) + "%"}}, "");
  html.element("i", {{"class", "even"}, {"style", "width:" + percent(static_cast<double>(figure.tied) / all) + "%"}},
               "");
}

/// Which way the figure went, if that is more than chance.
std::string_view verdict(const ComparedFigure& figure) {
  if (figure.p_adjusted >= kSignificant || figure.difference == 0) return "";
  return figure.difference > 0 ? "gain" : "loss";
}

/// What the columns of a table say.
struct Columns {
  std::string first;
  std::string second;
  std::string interval;
  bool parts;     ///< rows are parts of the queries: how many is said
  bool adjusted;  ///< p is shown both ways
};

void write_row(HtmlWriter& html, const ComparedFigure& figure, const Columns& columns, bool linked) {
  const auto row = html.open("tr", {{"class", verdict(figure)}});
  {
    const auto heading = html.open("th", {{"scope", "row"}});
    if (linked) {
      const auto link = html.open("a", {{"href", "#queries"}, {"data-label", figure.name}});
      html.element("bdi", {}, figure.name);
    } else {
      html.text(figure.name);
    }
  }
  if (columns.parts) html.element("td", {}, grouped(figure.queries));
  html.element("td", {}, percent(figure.first));
  html.element("td", {}, percent(figure.second));
  write_number(html, "difference", signed_points(figure.difference), 100 * figure.difference);
  write_number(html, "interval", interval(figure), 100 * figure.low);
  write_number(html, "p", p_value(figure.p), figure.p);
  if (columns.adjusted) write_number(html, "p", p_value(figure.p_adjusted), figure.p_adjusted);
  write_share_of_wins(html, figure);
}

void write_rows(HtmlWriter& html, const ComparedTable& table, const Columns& columns, const std::vector<size_t>& rows,
                bool labels) {
  const auto box = scroll_box(html, table.title);
  const auto grid = html.open("table", {{"class", columns.parts ? "compared sortable" : "compared"}});
  {
    const auto head = html.open("thead");
    const auto row = html.open("tr");
    const auto heading = [&html](std::string_view text) { html.element("th", {{"scope", "col"}}, text); };
    heading(table.row_heading);
    if (columns.parts) heading("Queries");
    heading(columns.first);
    heading(columns.second);
    heading("Difference");
    heading(columns.interval);
    heading("p");
    if (columns.adjusted) heading("p adjusted");
    heading("Won / tied / lost");
  }
  const auto body = html.open("tbody");
  for (const size_t i : rows) write_row(html, table.rows[i], columns, labels);
}

/// All rows, or where they are many the first and the last few, and all of them folded.
void write_table(HtmlWriter& html, const ComparedTable& table, const Columns& columns, bool labels) {
  if (table.rows.empty()) return;
  const size_t count = table.rows.size();
  const bool many = count > kMany;
  const auto figure = html.open("div", {{"class", "table"}});
  html.element("h4", {}, table.title + (many ? ": the largest gains and losses" : ""));
  std::vector<size_t> all;
  std::vector<size_t> ends;
  for (size_t i = 0; i < count; ++i) {
    all.push_back(i);
    if (i < kEnds || i + kEnds >= count) ends.push_back(i);
  }
  write_rows(html, table, columns, many ? ends : all, labels);
  if (!many) return;
  const auto folded = html.open("details", {{"class", "long"}});
  html.element("summary", {}, "All " + grouped(count));
  write_rows(html, table, columns, all, labels);
}

/// The figures whose names hold the table's first cutoff, and those without one: enough for a picture.
std::vector<PlotDifference> plotted(const ComparedPair& pair) {
  std::vector<PlotDifference> differences;
  for (const ComparedTable& table : pair.figures) {
    const std::string& first = table.rows.front().name;
    const size_t at = first.find('@');
    const std::string cutoff = at == std::string::npos ? "@" : first.substr(at);
    for (const ComparedFigure& row : table.rows) {
      const size_t own = row.name.find('@');
      if (own != std::string::npos && row.name.substr(own) != cutoff) continue;
      differences.push_back({table.title + " " + row.name, row.difference, row.low, row.high});
    }
  }
  return differences;
}

/// "seed7 65.8, demo 64.8; 95% interval −2.1 to +4.1. Chance alone can give that (p = 0.53)."
std::string sentence(const ComparisonInput& input, const ComparedPair& pair) {
  const ComparedFigure& figure = pair.headline;
  std::string text = input.runs[pair.second].name + " " + percent(figure.second) + ", " + input.runs[pair.first].name +
                     " " + percent(figure.first) + "; " + fixed(100 * input.confidence, 0) + "% interval " +
                     interval(figure) + ". ";
  text += figure.p_adjusted < kSignificant ? "More than chance gives" : "Chance alone can give that";
  text.append(" (").append(p_words(figure.p_adjusted));
  if (input.pairs.size() > 1) text.append(", adjusted for ").append(std::to_string(input.pairs.size())).append(" runs");
  return text + ").";
}

void write_headlines(HtmlWriter& html, const ComparisonInput& input) {
  const auto row = html.open("div", {{"class", "headlines"}});
  for (const ComparedPair& pair : input.pairs) {
    const ComparedFigure& figure = pair.headline;
    const auto tile = html.open("div", {{"class", "headline"}});
    html.element("h2", {}, input.runs[pair.second].name + " against " + input.runs[pair.first].name);
    {
      const auto line = html.open("p", {{"class", "figure"}});
      html.element("strong", {{"class", verdict(figure)}}, signed_points(figure.difference));
      html.text(" ");
      html.element("span", {}, "points of " + figure.name);
    }
    html.element("p", {}, sentence(input, pair));
    html.element("p", {{"class", "note"}},
                 grouped(figure.won) + " of " + grouped(figure.queries) + " queries won, " + grouped(figure.lost) +
                     " lost, " + grouped(figure.tied) + " tied");
  }
}

void write_pairs(HtmlWriter& html, const ComparisonInput& input) {
  const auto section = html.open("section", {{"id", "figures"}});
  html.element("h2", {}, "Differences");
  html.element("p", {{"class", "lead"}},
               "Paired over the same queries. The interval comes from drawing queries with replacement; p says how "
               "often exchanging the two runs' results, query by query at random, gives as large a difference.");
  for (const ComparedPair& pair : input.pairs) {
    const Columns columns{.first = input.runs[pair.first].name,
                          .second = input.runs[pair.second].name,
                          .interval = fixed(100 * input.confidence, 0) + "% interval",
                          .parts = false,
                          .adjusted = input.pairs.size() > 1};
    html.element("h3", {}, columns.second + " against " + columns.first);
    const std::string plot = render_differences(plotted(pair));
    if (!plot.empty()) {
      const auto figure = html.open("figure", {{"class", "differences"}});
      html.element("figcaption", {}, columns.second + " minus " + columns.first + ", in points");
      html.raw(plot);
    }
    for (const ComparedTable& table : pair.figures) write_table(html, table, columns, false);
    Columns parts = columns;
    parts.parts = parts.adjusted = true;
    write_table(html, pair.products, parts, false);
    write_table(html, pair.labels, parts, true);
  }
  html.element(
      "p", {{"class", "note"}},
      "Adjusted p: over several runs as Holm has it; over parts of the queries as Benjamini and Hochberg have it.");
}

QueryPage query_page(const ComparisonInput& input, const std::string& folder) {
  QueryPage page{.metric = input.metric, .runs = {}, .gallery = input.gallery, .queries = {}, .folder = folder};
  for (const ComparedRun& run : input.runs) page.runs.push_back(run.name);
  for (const ComparedQuery& query : input.queries) {
    ShownQuery shown{.item = &query.item, .positives = query.positives, .values = query.values, .rankings = {}};
    for (const std::vector<ReportResult>& ranking : query.rankings) shown.rankings.push_back(&ranking);
    page.queries.push_back(std::move(shown));
  }
  return page;
}

}  // namespace

std::string signed_points(double difference) {
  const std::string text = fixed(std::abs(100 * difference), 1);
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return zero ? text : (difference < 0 ? "−" : "+") + text;
}

std::string p_value(double p) {
  if (p < 0.001) return "<0.001";
  return fixed(p, p < 0.1 ? 3 : 2);
}

std::string p_words(double p) {
  const std::string value = p_value(p);
  return value.starts_with('<') ? "p < " + value.substr(1) : "p = " + value;
}

RenderedReport render_comparison(const ComparisonInput& input, const std::string& folder) {
  RenderedReport rendered;
  HtmlWriter body;
  write_headlines(body, input);
  write_pairs(body, input);
  write_query_section(body, query_page(input, folder), rendered);
  write_details(body, "About this comparison", input.facts, input.commands, "");
  PageFrame frame{.title = input.title,
                  .dataset = input.dataset,
                  .origin = {},
                  .sections = {{"figures", "Differences"}, {"queries", "Queries"}, {"details", "Details"}},
                  .folder = folder};
  if (!input.created.empty()) frame.origin.push_back(input.created);
  write_frame(rendered, frame, body.take());
  return rendered;
}

void write_comparison(const std::filesystem::path& path, const ComparisonInput& input) {
  write_page(path, render_comparison(input, files_folder(path)));
}

}  // namespace capture
