// A comparison as text and as JSON.
#include <algorithm>
#include <cmath>

#include "capture/report/html.h"
#include "capture_eval/compare.h"

namespace capture {

namespace {

constexpr size_t kLabels = 5;   // from each end
constexpr size_t kQueries = 5;  // won most, and lost most

using Cells = std::vector<std::vector<std::string>>;

size_t width(const std::string& text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Columns aligned, the first to the left and the others to the right.
std::string aligned(const Cells& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - width(row[i]), ' ');
      line += (i == 0 ? row[i] + space : "  " + space + row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string percent(double fraction) {
  return fixed(100 * fraction, 1);
}

std::string interval(const ComparedFigure& figure) {
  return signed_points(figure.low) + " to " + signed_points(figure.high);
}

std::vector<std::string> row_of(const ComparedFigure& figure, bool parts, bool adjusted) {
  std::vector<std::string> row{clean_utf8(figure.name)};
  if (parts) row.push_back(std::to_string(figure.queries));
  for (const std::string& cell : {percent(figure.first), percent(figure.second), signed_points(figure.difference),
                                  interval(figure), p_value(figure.p)}) {
    row.push_back(cell);
  }
  if (adjusted) row.push_back(p_value(figure.p_adjusted));
  for (const size_t count : {figure.won, figure.lost, figure.tied}) row.push_back(std::to_string(count));
  return row;
}

/// `rows` are positions in the table.
std::string text_of(const ComparisonInput& comparison, const ComparedTable& table, const std::vector<size_t>& rows,
                    bool parts) {
  const bool adjusted = parts || comparison.pairs.size() > 1;
  Cells cells{{table.row_heading}};
  if (parts) cells[0].push_back("queries");
  for (const std::string& heading : {std::string("A"), std::string("B"), std::string("B − A"),
                                     fixed(100 * comparison.confidence, 0) + "% interval", std::string("p")}) {
    cells[0].push_back(heading);
  }
  if (adjusted) cells[0].push_back("adjusted");
  for (const char* heading : {"won", "lost", "tied"}) cells[0].push_back(heading);
  for (const size_t i : rows) cells.push_back(row_of(table.rows[i], parts, adjusted));
  return table.title + "\n" + aligned(cells);
}

std::vector<size_t> all_rows(const ComparedTable& table) {
  std::vector<size_t> rows(table.rows.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  return rows;
}

/// The first and the last few.
std::vector<size_t> both_ends(size_t size, size_t count) {
  std::vector<size_t> rows;
  for (size_t i = 0; i < size; ++i) {
    if (i < count || i + count >= size) rows.push_back(i);
  }
  return rows;
}

std::string queries_text(const ComparisonInput& comparison, const ComparedPair& pair, bool won) {
  std::vector<const ComparedQuery*> queries;
  const auto difference = [&](const ComparedQuery* query) {
    return query->values[pair.second] - query->values[pair.first];
  };
  for (const ComparedQuery& query : comparison.queries) {
    if (won ? difference(&query) > 0 : difference(&query) < 0) queries.push_back(&query);
  }
  if (queries.empty()) return {};
  std::ranges::stable_sort(queries, std::greater(), [&](const auto* query) { return std::abs(difference(query)); });
  Cells cells{{won ? "won most" : "lost most", "A", "B", "B − A"}};
  for (size_t i = 0; i < std::min(kQueries, queries.size()); ++i) {
    cells.push_back({clean_utf8(queries[i]->item.id), percent(queries[i]->values[pair.first]),
                     percent(queries[i]->values[pair.second]), signed_points(difference(queries[i]))});
  }
  return "\n" + aligned(cells);
}

std::string pair_text(const ComparisonInput& comparison, const ComparedPair& pair) {
  const ComparedFigure& figure = pair.headline;
  std::string text = "A = " + comparison.runs[pair.first].name + ", B = " + comparison.runs[pair.second].name + "\n";
  text += "Over " + std::to_string(figure.queries) + " queries, B's " + figure.name + " is " +
          fixed(std::abs(100 * figure.difference), 1) + " points " + (figure.difference < 0 ? "below" : "above") +
          " A's (" + fixed(100 * comparison.confidence, 0) + "% interval " + interval(figure) + ", " +
          p_words(figure.p) + "): " + std::to_string(figure.won) + " won, " + std::to_string(figure.lost) + " lost, " +
          std::to_string(figure.tied) + " tied.\n";
  for (const ComparedTable& table : pair.figures) text += "\n" + text_of(comparison, table, all_rows(table), false);
  text += "\n" + text_of(comparison, pair.products, all_rows(pair.products), true);
  const size_t labels = pair.labels.rows.size();
  text += "\n" + text_of(comparison, pair.labels, both_ends(labels, kLabels), true);
  if (labels > 2 * kLabels) text += std::to_string(labels - 2 * kLabels) + " labels between them are left out here.\n";
  return text + queries_text(comparison, pair, true) + queries_text(comparison, pair, false);
}

Json figure_json(const ComparedFigure& figure) {
  return {{"queries", figure.queries},
          {"first", figure.first},
          {"second", figure.second},
          {"difference", figure.difference},
          {"low", figure.low},
          {"high", figure.high},
          {"p", figure.p},
          {"p_adjusted", figure.p_adjusted},
          {"exact", figure.exact},
          {"won", figure.won},
          {"lost", figure.lost},
          {"tied", figure.tied}};
}

Json table_json(const ComparedTable& table) {
  Json json = Json::object();
  for (const ComparedFigure& figure : table.rows) json[figure.name] = figure_json(figure);
  return json;
}

}  // namespace

std::string comparison_text(const ComparisonInput& comparison) {
  std::string text;
  for (const ComparedPair& pair : comparison.pairs) text += (text.empty() ? "" : "\n\n") + pair_text(comparison, pair);
  return text;
}

Json comparison_json(const ComparisonInput& comparison, const PairedOptions& paired) {
  Json json = {{"metric", comparison.metric},
               {"options",
                {{"flips", paired.flips},
                 {"resamples", paired.resamples},
                 {"confidence", paired.confidence},
                 {"seed", paired.seed}}},
               {"runs", Json::array()},
               {"pairs", Json::array()},
               {"queries", Json::array()}};
  for (const ComparedRun& run : comparison.runs) json["runs"].push_back({{"name", run.name}, {"folder", run.folder}});
  for (const ComparedPair& pair : comparison.pairs) {
    Json figures = Json::object();
    for (const ComparedTable& table : pair.figures) figures[table.title] = table_json(table);
    json["pairs"].push_back({{"first", comparison.runs[pair.first].name},
                             {"second", comparison.runs[pair.second].name},
                             {"figures", figures},
                             {"products", table_json(pair.products)},
                             {"labels", table_json(pair.labels)}});
  }
  for (const ComparedQuery& query : comparison.queries) {
    json["queries"].push_back({{"query", query.item.id}, {"values", query.values}});  // NaN becomes null
  }
  return json;
}

}  // namespace capture
