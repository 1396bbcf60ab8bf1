// Numbers: what to take home, systems side by side, and metrics by N under both protocols.
#include <algorithm>
#include <cmath>

#include "sections.h"

namespace capture {

namespace {

void write_table(HtmlWriter& html, const ReportTable& table, std::string_view heading) {
  if (table.rows.empty() || table.columns.empty()) return;
  const auto figure = html.open("div", {{"class", "table"}});
  html.element(heading, {}, table.title);
  {
    const auto box = scroll_box(html, table.title);
    const auto grid = html.open("table", {{"style", "--columns:" + std::to_string(table.columns.size())}});
    {
      const auto head = html.open("thead");
      const auto row = html.open("tr");
      html.element("th", {{"scope", "col"}}, table.row_heading);
      for (const std::string& column : table.columns) html.element("th", {{"scope", "col"}}, column);
    }
    const auto body = html.open("tbody");
    for (const ReportRow& row : table.rows) {
      const auto line = html.open("tr");
      {
        const auto name = html.open("th", {{"scope", "row"}});
        html.text(row.name);
        if (!row.note.empty()) html.element("small", {}, row.note);
      }
      for (size_t column = 0; column < table.columns.size(); ++column) {
        const double value = value_at(row, column);
        write_share(html, value, value == best_value(table, column));
      }
    }
  }
  if (!table.note.empty()) html.element("p", {{"class", "note"}}, table.note);
}

bool has_rows(const std::vector<ReportTable>& tables) {
  return std::any_of(tables.begin(), tables.end(),
                     [](const ReportTable& table) { return !table.rows.empty() && !table.columns.empty(); });
}

/// "8.4 of the first 10 results"
std::string of_ten(double share) {
  return fixed(10 * share, 1) + " of the first 10 results";
}

void write_headline(HtmlWriter& html, const ReportHeadline& headline) {
  const auto tile = html.open("div", {{"class", "headline"}});
  html.element("h2", {}, headline.queries);
  {
    const auto line = html.open("p", {{"class", "figure"}});
    html.element("strong", {}, percent(headline.value));
    html.text(" ");
    html.element("span", {}, headline.metric);
  }
  const bool compared = !headline.reference.empty();
  if (std::isfinite(headline.first_ten)) {
    std::string words = "On average " + of_ten(headline.first_ten) + " show what was asked for";
    if (compared && std::isfinite(headline.reference_first_ten)) {
      words += "; " + headline.reference + " find " + fixed(10 * headline.reference_first_ten, 1);
    }
    html.element("p", {}, words + ".");
  }
  if (compared && std::isfinite(headline.reference_value)) {
    const double gain = headline.value - headline.reference_value;
    html.element("p", {{"class", "gain"}},
                 fixed(std::abs(100 * gain), 1) + (gain >= 0 ? " points above " : " points below ") +
                     headline.reference + " (" + percent(headline.reference_value) + ")");
  }
}

std::string_view protocol_heading(std::string_view name) {
  if (name == "strict") return "Strict protocol";
  if (name == "product1m_official") return "Official Product1M protocol";
  return name;
}

std::string_view protocol_meaning(std::string_view name) {
  if (name == "strict") {
    return "The standard definition. A query's products form a set; average precision is divided by the number of "
           "matches that could stand among the first N, precision by N. Every match that is missing or late costs.";
  }
  if (name == "product1m_official") {
    return "The arithmetic of the published benchmark, kept so that its figures can be compared. No more results are "
           "judged than there are matches; average precision is divided by the hits found, not by those that could "
           "have been, so that a hit at the first place alone scores 100; and a query that cannot be scored counts "
           "as 0.";
  }
  return {};
}

void write_glossary(HtmlWriter& html) {
  static constexpr std::pair<std::string_view, std::string_view> kTerms[] = {
      {"mAP@N",
       "Mean average precision: how near the matches stand to the top of the first N results. 100 means that "
       "every match stands before everything else."},
      {"Prec@N", "The share of the first N results that match."},
      {"Recall@N",
       "The share of all matches in the gallery that stand among the first N. mAR is the official "
       "protocol's form of it, averaged over the labels of a query."},
      {"hit rate", "The share of queries with at least one match among the first N."},
      {"label coverage", "For queries with several products: the share of them found among the first N."},
      {"R-Precision", "Precision among as many results as there are matches."},
      {"MRR", "The mean of 1 / rank of the first match."},
  };
  const auto folded = html.open("details");
  html.element("summary", {}, "What the metrics mean");
  const auto list = html.open("dl", {{"class", "terms"}});
  for (const auto& [term, meaning] : kTerms) {
    const auto pair = html.open("div");
    html.element("dt", {}, term);
    html.element("dd", {}, meaning);
  }
}

}  // namespace

HtmlWriter::Scope scroll_box(HtmlWriter& html, std::string_view name) {
  return html.open("div", {{"class", "wide"}, {"tabindex", "0"}, {"role", "group"}, {"aria-label", name}});
}

std::string percent(double fraction) {
  return fixed(100 * fraction, 1);
}

void write_share(HtmlWriter& html, double value, bool best) {
  if (!std::isfinite(value)) {
    html.element("td", {{"class", "unknown"}}, "–");
    return;
  }
  const auto cell = html.open("td", {{"class", best ? "best" : ""}});
  html.element("span", {{"class", "value"}}, percent(value));
  if (best) html.element("span", {{"class", "unseen"}}, " (best)");
  const auto bar = html.open("span", {{"class", "bar"}, {"aria-hidden", "true"}});
  html.element("i", {{"style", "width:" + percent(std::clamp(value, 0.0, 1.0)) + "%"}}, "");
}

void write_headlines(HtmlWriter& html, const ReportInput& input) {
  const auto known = [](const ReportHeadline& headline) { return std::isfinite(headline.value); };
  if (std::none_of(input.headlines.begin(), input.headlines.end(), known)) return;
  const auto row = html.open("div", {{"class", "headlines"}});
  for (const ReportHeadline& headline : input.headlines) {
    if (known(headline)) write_headline(html, headline);
  }
}

void write_systems(HtmlWriter& html, const ReportInput& input) {
  if (!has_rows(input.systems)) return;
  const auto section = html.open("section", {{"id", "systems"}});
  html.element("h2", {}, "Compared with what needs no training");
  html.element(
      "p", {{"class", "lead"}},
      "The same queries and gallery, ranked by each system. Values are percentages, higher is better; the best "
      "of each column is set in bold.");
  for (const ReportTable& table : input.systems) write_table(html, table, "h3");
}

void write_protocols(HtmlWriter& html, const ReportInput& input) {
  const auto any = [](const ReportProtocol& protocol) { return has_rows(protocol.tables); };
  if (std::none_of(input.protocols.begin(), input.protocols.end(), any)) return;
  const auto section = html.open("section", {{"id", "protocols"}});
  html.element("h2", {}, "Metrics by number of results");
  html.element("p", {{"class", "lead"}},
               "Each protocol judges the same rankings, with its own arithmetic. Compare figures within a protocol, "
               "never across.");
  for (const ReportProtocol& protocol : input.protocols) {
    if (!any(protocol)) continue;
    const auto part = html.open("div", {{"class", "protocol"}});
    {
      const auto about = html.open("div", {{"class", "about"}});
      html.element("h3", {}, protocol_heading(protocol.name));
      html.element("p", {}, protocol_meaning(protocol.name));
    }
    const auto tables = html.open("div", {{"class", "tables"}});
    for (const ReportTable& table : protocol.tables) write_table(html, table, "h4");
  }
  write_glossary(html);
}

void write_breakdowns(HtmlWriter& html, const ReportInput& input) {
  if (!has_rows(input.breakdowns)) return;
  const auto section = html.open("section", {{"id", "breakdowns"}});
  html.element("h2", {}, "Metrics by kind of query");
  html.element("p", {{"class", "lead"}}, "The same rankings, with the means taken over a part of the queries each.");
  for (const ReportTable& table : input.breakdowns) write_table(html, table, "h3");
}

}  // namespace capture
