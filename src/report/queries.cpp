// Queries and what was found for them, as photos.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "capture/base/base64.h"
#include "sections.h"

namespace capture {

namespace {

constexpr size_t kResults = 10;
constexpr size_t kMostQueries = 100;             // of each kind: a page is for reading
constexpr size_t kImageBytes = size_t{8} << 20;  // all photos together, before they are encoded

std::string_view image_type(std::span<const std::byte> image) {
  const std::string_view bytes(reinterpret_cast<const char*>(image.data()), image.size());
  if (bytes.starts_with("\xFF\xD8\xFF")) return "image/jpeg";
  if (bytes.starts_with("\x89PNG\r\n\x1A\n")) return "image/png";
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "image/webp";
  return {};
}

/// Writes the photos of the page; when they would make it too large, the rest become placeholders.
class Photos {
 public:
  void write(HtmlWriter& html, const ReportItem& item, std::string_view alt) {
    const std::string_view type = image_type(item.thumbnail);
    if (type.empty() || written_ + item.thumbnail.size() > kImageBytes) {
      const std::string missing =
          std::string(alt) + (type.empty() ? ": no photo" : ": photo left out to keep this page small");
      html.element("span", {{"class", "photo none"}, {"role", "img"}, {"aria-label", missing}}, "");
      return;
    }
    written_ += item.thumbnail.size();
    html.empty("img", {{"class", "photo"},
                       {"alt", alt},
                       {"src", "data:" + std::string(type) + ";base64," + to_base64(item.thumbnail)}});
  }

 private:
  size_t written_ = 0;
};

/// The labels of a query, each once, in the order listed.
std::vector<std::string> distinct(const std::vector<std::string>& labels) {
  std::vector<std::string> once;
  std::set<std::string_view> seen;
  for (const std::string& label : labels) {
    if (seen.insert(label).second) once.push_back(label);
  }
  return once;
}

/// A, B, … Z, then 27, 28, …
std::string letter(size_t index) {
  return index < 26 ? std::string(1, static_cast<char>('A' + index)) : std::to_string(index + 1);
}

/// The letters of the query's labels that the item carries ("A", "A, C"); empty for a miss.
std::string matched(const std::vector<std::string>& labels, const ReportItem& item) {
  std::string letters;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (std::find(item.labels.begin(), item.labels.end(), labels[i]) == item.labels.end()) continue;
    letters += (letters.empty() ? "" : ", ") + letter(i);
  }
  return letters;
}

/// How many of the shown results carry the label.
size_t hits_of(const ReportInput& input, const ReportQuery& query, const std::string& label) {
  const size_t shown = std::min(kResults, query.ranking.size());
  return static_cast<size_t>(
      std::count_if(query.ranking.begin(), query.ranking.begin() + shown, [&](const auto& result) {
        const std::vector<std::string>& labels = input.gallery.at(result.item).labels;
        return std::find(labels.begin(), labels.end(), label) != labels.end();
      }));
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string shown_title(const ReportItem& item) {
  return item.title.empty() ? item.id : item.title;
}

void write_result(HtmlWriter& html, Photos& photos, const std::vector<std::string>& labels, const ReportItem& item,
                  double score, size_t rank) {
  const std::string letters = matched(labels, item);
  const bool hit = !letters.empty();
  const std::string title = shown_title(item);
  const std::string item_labels = joined(distinct(item.labels));
  const auto card = html.open(
      "li", {{"class", hit ? "hit" : "miss"},
             {"title", title + "\nlabel: " + item_labels + "\nscore: " + fixed(score, 4) + "\nid: " + item.id}});
  {
    const auto mark = html.open("p", {{"class", "mark"}});
    html.element("span", {{"class", "rank"}}, std::to_string(rank));
    const auto verdict = html.open("span", {{"class", "verdict"}});
    html.element("span", {{"aria-hidden", "true"}}, hit ? "✓ " : "✗ ");
    html.text(hit ? "hit" : "miss");
    if (hit && labels.size() > 1) html.element("b", {{"class", "key"}}, letters);
  }
  photos.write(html, item, "Photo of " + title);
  html.element("p", {{"class", "title"}, {"dir", "auto"}}, title);
  const auto line = html.open("p", {{"class", "label"}});
  if (item_labels != title) html.element("bdi", {}, item_labels);
  const auto number = html.open("span", {{"class", "score"}});
  html.element("span", {{"class", "unseen"}}, "score ");
  html.text(fixed(score, 3));
}

void write_asked(HtmlWriter& html, Photos& photos, const ReportInput& input, const ReportQuery& query,
                 const std::vector<std::string>& labels) {
  const auto asked = html.open("div", {{"class", "asked"}});
  photos.write(html, query.item, "Query photo: " + shown_title(query.item));
  const auto words = html.open("div", {{"class", "words"}});
  html.element("h4", {{"dir", "auto"}}, shown_title(query.item));
  if (!labels.empty()) {
    const auto list = html.open("ul", {{"class", "labels"}, {"aria-label", "products it shows"}});
    for (size_t i = 0; i < labels.size(); ++i) {
      const auto entry = html.open("li");
      if (labels.size() > 1) html.element("b", {{"class", "key"}}, letter(i));
      html.element("bdi", {}, labels[i]);
      if (labels.size() > 1) html.element("small", {}, std::to_string(hits_of(input, query, labels[i])) + " found");
    }
  }
  {
    const auto line = html.open("p", {{"class", "ap"}});
    html.element("strong", {}, fixed(100 * query.average_precision, 1));
    html.text(" " + input.query_metric);
  }
  if (query.positives > 0) {
    html.element("p", {{"class", "note"}},
                 grouped(query.positives) + (query.positives == 1 ? " match" : " matches") + " in the gallery");
  }
  html.element("p", {{"class", "note id"}, {"title", query.item.id}}, "id " + query.item.id);
}

void write_query(HtmlWriter& html, Photos& photos, const ReportInput& input, const ReportQuery& query) {
  const std::vector<std::string> labels = distinct(query.item.labels);
  const auto article = html.open("article", {{"class", "query"}});
  write_asked(html, photos, input, query, labels);
  if (query.ranking.empty()) {
    html.element("p", {{"class", "note"}}, "Nothing was ranked for this query.");
    return;
  }
  const auto list = html.open("ol", {{"class", "ranking"}, {"aria-label", "what was found, best first"}});
  for (size_t i = 0; i < std::min(kResults, query.ranking.size()); ++i) {
    const ReportResult& result = query.ranking[i];
    write_result(html, photos, labels, input.gallery.at(result.item), result.score, i + 1);
  }
}

using Indices = std::vector<size_t>;

/// Queries with a known average precision, best first, then the rest; ties in the order given.
Indices best_first(const ReportInput& input) {
  Indices order(input.queries.size());
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](size_t i) {
    const double value = input.queries[i].average_precision;
    return std::isfinite(value) ? value : -1.0;
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) > key(b); });
  return order;
}

/// `count` of the indices, evenly spaced, the first and the last among them.
Indices spaced(const Indices& from, size_t count) {
  if (from.size() <= count) return from;
  Indices picked;
  for (size_t i = 0; i < count; ++i) picked.push_back(from[count == 1 ? 0 : i * (from.size() - 1) / (count - 1)]);
  return picked;
}

/// The queries asked for by id, or as many evenly spaced from best to worst, half of them with several products.
Indices chosen_queries(const ReportInput& input, const Indices& order, size_t count) {
  if (!input.chosen.empty()) {
    std::map<std::string_view, size_t> by_id;
    for (size_t i = 0; i < input.queries.size(); ++i) by_id.emplace(input.queries[i].item.id, i);
    Indices picked;
    for (const std::string& id : input.chosen) {
      const auto found = by_id.find(id);
      if (found == by_id.end() || picked.size() == count) continue;
      picked.push_back(found->second);
      by_id.erase(found);  // an id given twice is shown once
    }
    return picked;
  }
  Indices single;
  Indices several;
  for (const size_t i : order) (distinct(input.queries[i].item.labels).size() > 1 ? several : single).push_back(i);
  const size_t half = std::min(several.size(), std::max(count / 2, count - std::min(count, single.size())));
  Indices picked = spaced(single, count - half);
  for (const size_t i : spaced(several, half)) picked.push_back(i);
  return picked;
}

/// The lowest, worst first, without those that are shown already.
Indices worst_queries(const ReportInput& input, const Indices& order, const Indices& shown, size_t count) {
  Indices worst;
  for (auto i = order.rbegin(); i != order.rend() && worst.size() < count; ++i) {
    const bool known = std::isfinite(input.queries[*i].average_precision);
    if (known && std::find(shown.begin(), shown.end(), *i) == shown.end()) worst.push_back(*i);
  }
  return worst;
}

/// "By strict AP@10, 212 of 405 queries score above 90, and 14 score 0."
std::string overview(const ReportInput& input) {
  size_t measured = 0;
  size_t high = 0;
  size_t zero = 0;
  for (const ReportQuery& query : input.queries) {
    measured += std::isfinite(query.average_precision);
    high += query.average_precision > 0.9;
    zero += query.average_precision == 0;
  }
  std::string text;
  if (measured > 0) {
    text = "By " + input.query_metric + ", " + grouped(high) + " of " + grouped(measured) +
           (measured == 1 ? " query" : " queries") + " score above 90, and " + grouped(zero) + " score 0. ";
  }
  return text + "Beside each query stand the first ten items of the gallery that it found, best first.";
}

void write_group(HtmlWriter& html, Photos& photos, const ReportInput& input, const Indices& queries,
                 std::string_view heading, std::string_view note) {
  if (queries.empty()) return;
  html.element("h3", {}, heading);
  html.element("p", {{"class", "note"}}, note);
  for (const size_t i : queries) write_query(html, photos, input, input.queries[i]);
}

/// How a result that matches is told from one that does not.
void write_legend(HtmlWriter& html) {
  const auto legend = html.open("div", {{"class", "legend"}});
  const auto entry = [&html](std::string_view tag, std::string_view type, std::string_view sample,
                             std::string_view words) {
    const auto pair = html.open("span");
    html.element(tag, {{"class", type}}, sample);
    html.text(words);
  };
  entry("span", "sample hit", "✓ hit", "shows a product of the query");
  entry("span", "sample miss", "✗ miss", "does not");
  entry("b", "key", "A", "says which one, when the query shows several");
}

}  // namespace

void write_queries(HtmlWriter& html, const ReportInput& input) {
  const size_t count = std::min(input.queries_shown, kMostQueries);
  if (input.queries.empty() || count == 0) return;
  const Indices order = best_first(input);
  const Indices chosen = chosen_queries(input, order, count);
  const Indices worst = worst_queries(input, order, chosen, count);
  const auto section = html.open("section", {{"id", "queries"}});
  html.element("h2", {}, "What was asked, what was found");
  html.element("p", {{"class", "lead"}}, overview(input));
  write_legend(html);
  Photos photos;
  const bool named = !input.chosen.empty();
  write_group(html, photos, input, chosen, named ? "Chosen queries" : "From the best to the worst",
              named ? "Picked by hand." : "Picked evenly from all queries in order of their score, not by hand.");
  write_group(html, photos, input, worst, "The worst", "The lowest scores of all, lowest first.");
}

}  // namespace capture
