#include "capture_search/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "capture/base/terminal.h"

namespace capture {

namespace {

constexpr int64_t kNarrowest = 8;  // columns that a shortened cell keeps
constexpr int64_t kHeading = 100;  // columns of a heading that name the question, at most
constexpr std::string_view kGap = "  ";

using Row = std::vector<std::string>;

std::string joined(const std::vector<std::string>& labels) {
  std::string text;
  for (auto at = labels.begin(); at != labels.end(); ++at) {
    if (std::find(labels.begin(), at, *at) != at) continue;  // listed twice
    text += (text.empty() ? "" : ", ") + *at;
  }
  return one_line(text);
}

/// Whether some item's label is more than a copy of its title.
bool labels_tell(const std::vector<FoundProduct>& found) {
  return std::ranges::any_of(found, [](const FoundProduct& product) {
    const std::string labels = joined(product.labels);
    return !labels.empty() && labels != one_line(product.title);
  });
}

std::vector<Row> rows_of(const std::vector<FoundProduct>& found) {
  const bool labelled = labels_tell(found);
  std::vector<Row> rows = {labelled ? Row{"#", "score", "label", "title", "id"} : Row{"#", "score", "title", "id"}};
  for (size_t i = 0; i < found.size(); ++i) {
    const FoundProduct& product = found[i];
    Row row = {std::to_string(i + 1), fmt::format("{:.3f}", product.score)};
    if (labelled) row.push_back(joined(product.labels));
    row.push_back(one_line(product.title));
    row.push_back(one_line(product.id));
    rows.push_back(std::move(row));
  }
  return rows;
}

/// The width of each column, the widest ones narrowed until a line fits.
std::vector<int64_t> widths_of(const std::vector<Row>& rows, int64_t columns) {
  std::vector<int64_t> widths(rows[0].size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  if (columns == 0) return widths;
  const auto line = [&] {
    return std::accumulate(widths.begin(), widths.end(), std::ssize(kGap) * (std::ssize(widths) - 1));
  };
  while (line() > columns) {
    const auto widest = std::ranges::max_element(widths);
    if (*widest <= kNarrowest) break;
    --*widest;
  }
  return widths;
}

/// What the question has, as the first keys of its answer.
Json question_json(const Question& question) {
  Json json = Json::object();
  if (!question.id.empty()) json["id"] = question.id;
  if (!question.photo.empty()) json["photo"] = question.photo.string();
  if (!question.title.empty()) json["title"] = question.title;
  return json;
}

}  // namespace

std::string name_of(const Question& question) {
  std::string name = question.photo.filename().string();
  if (!question.title.empty()) name += (name.empty() ? "“" : " “") + question.title + "”";
  name = one_line(name);
  return display_width(name) > kHeading ? fitted(name, kHeading) : name;
}

std::string to_table(const Question& question, const Answer& answer, int64_t columns) {
  std::string text = name_of(question) + ": " + answer.how + "\n";
  const std::vector<Row> rows = rows_of(answer.found);
  const std::vector<int64_t> widths = widths_of(rows, columns);
  for (const Row& row : rows) {
    std::string line = std::string(static_cast<size_t>(widths[0] - display_width(row[0])), ' ') + row[0];
    for (size_t i = 1; i < row.size(); ++i) line += std::string(kGap) + fitted(row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

Json to_json(const Question& question, const Answer& answer) {
  Json json = question_json(question);
  json["recipe"] = answer.recipe;
  json["results"] = Json::array();
  for (size_t i = 0; i < answer.found.size(); ++i) {
    const FoundProduct& product = answer.found[i];
    json["results"].push_back({{"rank", i + 1},
                               {"score", product.score},
                               {"id", product.id},
                               {"title", product.title},
                               {"labels", product.labels}});
  }
  return json;
}

Json problem_json(const Question& question) {
  Json json = question_json(question);
  json["error"] = question.problem;
  return json;
}

}  // namespace capture
