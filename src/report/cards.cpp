#include "cards.h"

#include <algorithm>
#include <set>

namespace capture {

namespace {

/// A, B, … Z, then 27, 28, …
std::string letter(size_t index) {
  return index < 26 ? std::string(1, static_cast<char>('A' + index)) : std::to_string(index + 1);
}

bool carries(const ReportItem& item, const std::string& label) {
  return std::find(item.labels.begin(), item.labels.end(), label) != item.labels.end();
}

/// The letters of the query's labels that the item carries ("A", "A, C"); empty for a miss.
std::string matched(const std::vector<std::string>& labels, const ReportItem& item) {
  std::string letters;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (carries(item, labels[i])) letters += (letters.empty() ? "" : ", ") + letter(i);
  }
  return letters;
}

/// How many of the shown results of the only run carry the label.
size_t hits_of(const QueryPage& page, const ShownQuery& query, const std::string& label) {
  const std::vector<ReportResult>& ranking = *query.rankings.front();
  size_t hits = 0;
  for (size_t i = 0; i < std::min(kShownResults, ranking.size()); ++i) {
    if (ranking[i].item < page.gallery.size() && carries(page.gallery[ranking[i].item], label)) ++hits;
  }
  return hits;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string shown_title(const ReportItem& item) {
  return item.title.empty() ? item.id : item.title;
}

/// Whether a result answers the query; said with a sign and a word, not by colour alone.
void write_verdict(HtmlWriter& html, const std::string& letters, bool several) {
  const bool hit = !letters.empty();
  const auto verdict = html.open("span", {{"class", "verdict"}});
  html.element("span", {{"aria-hidden", "true"}}, hit ? "✓ " : "✗ ");
  html.element("span", {{"class", "word"}}, hit ? "hit" : "miss");
  if (hit && several) html.element("b", {{"class", "key"}}, letters);
}

void write_result(HtmlWriter& html, Photos& photos, const std::vector<std::string>& labels, const ReportItem& item,
                  const ReportResult& result, size_t rank) {
  const std::string letters = matched(labels, item);
  const bool judged = !labels.empty();
  const bool scored = std::isfinite(result.score);
  const std::string title = shown_title(item);
  const std::string item_labels = joined(distinct(item.labels));
  const auto card =
      html.open("li", {{"class", !judged           ? "found"
                                 : letters.empty() ? "miss"
                                                   : "hit"},
                       {"title", title + "\nlabel: " + item_labels +
                                     (scored ? "\nscore: " + fixed(result.score, 4) : "") + "\nid: " + item.id}});
  {
    const auto mark = html.open("p", {{"class", "mark"}});
    html.element("span", {{"class", "rank"}}, std::to_string(rank));
    if (judged) write_verdict(html, letters, labels.size() > 1);
  }
  photos.write(html, item, photo_name('g', result.item), "Photo of " + title);
  html.element("p", {{"class", "title"}, {"dir", "auto"}}, title);
  const auto line = html.open("p", {{"class", "label"}});
  if (item_labels != title) html.element("bdi", {}, item_labels);
  if (!scored) return;
  const auto number = html.open("span", {{"class", "score"}});
  html.element("span", {{"class", "unseen"}}, "score ");
  html.text(fixed(result.score, 3));
}

void write_labels(HtmlWriter& html, const QueryPage& page, const ShownQuery& query,
                  const std::vector<std::string>& labels) {
  if (labels.empty()) return;
  const auto list = html.open("ul", {{"class", "labels"}, {"aria-label", "products it shows"}});
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto entry = html.open("li");
    if (labels.size() > 1) html.element("b", {{"class", "key"}}, letter(i));
    html.element("bdi", {}, labels[i]);
    if (labels.size() > 1 && !page.compares()) {
      html.element("small", {}, std::to_string(hits_of(page, query, labels[i])) + " found");
    }
  }
}

/// "6 matches in the gallery, the first at place 12"
std::string matches(const ShownQuery& query) {
  return grouped(query.positives) + (query.positives == 1 ? " match" : " matches") + " in the gallery" +
         (query.first_hit > kShownResults ? ", the first at place " + grouped(query.first_hit) : "");
}

void write_asked(HtmlWriter& html, Photos& photos, const QueryPage& page, size_t index,
                 const std::vector<std::string>& labels) {
  const ShownQuery& query = page.queries[index];
  const auto asked = html.open("div", {{"class", "asked"}});
  photos.write(html, *query.item, photo_name('q', index), "Query photo: " + shown_title(*query.item));
  const auto words = html.open("div", {{"class", "words"}});
  html.element("h4", {{"dir", "auto"}}, shown_title(*query.item));
  write_labels(html, page, query, labels);
  if (!page.compares() && !labels.empty()) {
    const auto line = html.open("p", {{"class", "ap"}});
    html.element("strong", {}, fixed(100 * query.values.front(), 1));
    html.text(" " + page.metric);
  }
  if (query.positives > 0) html.element("p", {{"class", "note"}}, matches(query));
  html.element("p", {{"class", "note id"}, {"title", query.item->id}}, "id " + query.item->id);
}

void write_ranking(HtmlWriter& html, Photos& photos, const QueryPage& page, const ShownQuery& query, size_t run,
                   const std::vector<std::string>& labels) {
  const std::vector<ReportResult>& ranking = *query.rankings[run];
  if (ranking.empty()) {
    html.element(
        "p", {{"class", "note"}},
        page.compares() ? "The results do not carry this run's ranking." : "Nothing was ranked for this query.");
    return;
  }
  const std::string whose = page.compares() ? " by " + page.runs[run] : "";
  const auto list = html.open("ol", {{"class", "ranking"}, {"aria-label", "what was found" + whose + ", best first"}});
  for (size_t i = 0; i < std::min(kShownResults, ranking.size()); ++i) {
    if (ranking[i].item >= page.gallery.size()) throw std::out_of_range("a result is outside the gallery");
    write_result(html, photos, labels, page.gallery[ranking[i].item], ranking[i], i + 1);
  }
}

/// "demo 35.0" over its ranking.
void write_run_heading(HtmlWriter& html, const QueryPage& page, const ShownQuery& query, size_t run) {
  const auto heading = html.open("h5");
  html.element("bdi", {}, page.runs[run]);
  html.text(" ");
  html.element("strong", {}, fixed(100 * query.values[run], 1));
}

}  // namespace

std::vector<std::string> distinct(const std::vector<std::string>& labels) {
  std::vector<std::string> once;
  std::set<std::string_view> seen;
  for (const std::string& label : labels) {
    if (seen.insert(label).second) once.push_back(label);
  }
  return once;
}

void write_card(HtmlWriter& html, Photos& photos, const QueryPage& page, size_t index) {
  const ShownQuery& query = page.queries[index];
  const std::vector<std::string> labels = distinct(query.item->labels);
  const auto article = html.open("article", {{"class", "query"}, {"tabindex", "-1"}});
  write_asked(html, photos, page, index, labels);
  if (!page.compares()) {
    write_ranking(html, photos, page, query, 0, labels);
    return;
  }
  const auto runs = html.open("div", {{"class", "runs"}});
  for (size_t run = 0; run < page.runs.size(); ++run) {
    const auto part = html.open("div", {{"class", "run"}});
    write_run_heading(html, page, query, run);
    write_ranking(html, photos, page, query, run, labels);
  }
}

}  // namespace capture
