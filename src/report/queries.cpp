// Which queries a page shows, and the controls with which its script shows the others.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "cards.h"

namespace capture {

namespace {

constexpr size_t kMostQueries = 100;  // of each group: a page is for reading

using Indices = std::vector<size_t>;

/// How much the last run is better than the first.
double gain(const ShownQuery& query) {
  return query.values.back() - query.values.front();
}

/// The queries with the highest `key` first, ties in the order given; a NaN is passed over.
template <class Key>
Indices highest(const QueryPage& page, size_t count, Key key) {
  Indices order;
  for (size_t i = 0; i < page.queries.size(); ++i) {
    if (!std::isnan(key(page.queries[i]))) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return key(page.queries[a]) > key(page.queries[b]); });
  order.resize(std::min(order.size(), count));
  return order;
}

/// A place in a random order that depends on the seed alone. The page's script counts the same.
uint32_t random_place(uint64_t seed, size_t index) {
  uint32_t z = static_cast<uint32_t>(index) * 0x9E3779B9U + static_cast<uint32_t>(seed) * 0x85EBCA6BU;
  z = (z ^ (z >> 16)) * 0x7FEB352DU;
  z = (z ^ (z >> 15)) * 0x846CA68BU;
  return z ^ (z >> 16);
}

Indices at_random(const QueryPage& page, size_t count) {
  Indices order(page.queries.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return random_place(page.seed, a) < random_place(page.seed, b); });
  order.resize(std::min(order.size(), count));
  return order;
}

Indices chosen_queries(const QueryPage& page, size_t count) {
  std::map<std::string_view, size_t> by_id;
  for (size_t i = 0; i < page.queries.size(); ++i) by_id.emplace(page.queries[i].item->id, i);
  Indices picked;
  for (const std::string& id : page.chosen) {
    const auto found = by_id.find(id);
    if (found == by_id.end() || picked.size() == count) continue;
    picked.push_back(found->second);
    by_id.erase(found);  // an id given twice is shown once
  }
  return picked;
}

/// Queries under a heading.
struct Group {
  std::string heading;
  std::string note;
  Indices queries;
};

/// What is shown without the script: on a page of few queries, all of them. No query stands in two groups.
std::vector<Group> groups_of(const QueryPage& page) {
  const size_t count = std::min(page.shown, kMostQueries);
  std::vector<Group> groups;
  if (page.compares()) {
    const std::string& last = page.runs.back();
    const std::string& first = page.runs.front();
    Indices won = highest(page, count, gain);
    Indices lost = highest(page, count, [](const ShownQuery& query) { return -gain(query); });
    std::erase_if(won, [&](size_t i) { return !(gain(page.queries[i]) > 0); });
    std::erase_if(lost, [&](size_t i) { return !(gain(page.queries[i]) < 0); });
    groups.push_back({"Where " + last + " is better", "The largest gains in " + page.metric + " first.", won});
    groups.push_back({"Where " + first + " is better", "The largest losses in " + page.metric + " first.", lost});
    return groups;
  }
  const auto badness = [](const ShownQuery& query) { return -query.values.front(); };
  Indices chosen = page.chosen.empty() ? at_random(page, count) : chosen_queries(page, count);
  Indices worst = highest(page, page.queries.size(), badness);
  std::erase_if(worst, [&](size_t i) { return std::find(chosen.begin(), chosen.end(), i) != chosen.end(); });
  worst.resize(std::min(worst.size(), count));
  if (page.chosen.empty()) {
    groups.push_back({"At random", "Drawn from all queries with a fixed seed, not picked by hand.", chosen});
  } else {
    groups.push_back({"Chosen queries", "Picked by hand.", chosen});
  }
  groups.push_back({"The worst", "The lowest scores of all, lowest first.", worst});
  return groups;
}

/// "By AP@10, 212 of 405 queries score above 90, and 14 score 0."
std::string overview(const QueryPage& page) {
  size_t measured = 0;
  size_t high = 0;
  size_t zero = 0;
  for (const ShownQuery& query : page.queries) {
    const double value = query.values.front();
    measured += std::isfinite(value);
    high += value > 0.9;
    zero += value == 0;
  }
  std::string text;
  if (measured > 0) {
    text = "By " + page.metric + ", " + grouped(high) + " of " + grouped(measured) +
           (measured == 1 ? " query" : " queries") + " score above 90, and " + grouped(zero) + " score 0. ";
  }
  return text + "Beside each query stand the first ten items of the gallery that it found, best first.";
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

using Choices = std::vector<std::pair<std::string, std::string>>;

void write_choice(HtmlWriter& html, std::string_view name, std::string_view words, const Choices& choices) {
  const auto label = html.open("label");
  html.text(words);
  const auto list = html.open("select", {{"name", name}});
  for (const auto& [value, text] : choices) html.element("option", {{"value", value}}, text);
}

Choices orders(const QueryPage& page) {
  Choices choices;
  for (size_t run = 1; run < page.runs.size(); ++run) {
    const std::string pair = " by " + page.runs[run] + " against " + page.runs[0];
    choices.emplace_back("won" + std::to_string(run), "won most" + pair);
    choices.emplace_back("lost" + std::to_string(run), "lost most" + pair);
  }
  choices.insert(
      choices.end(),
      {{"random", "at random"}, {"worst", "the worst first"}, {"best", "the best first"}, {"listed", "as listed"}});
  return choices;
}

Choices product_counts(const QueryPage& page) {
  std::map<size_t, size_t> counts;
  for (const ShownQuery& query : page.queries) ++counts[distinct(query.item->labels).size()];
  Choices choices{{"any", "any number"}};
  for (const auto& [products, queries] : counts) {
    choices.emplace_back(std::to_string(products),
                         std::to_string(products) + " (" + grouped(queries) + (queries == 1 ? " query)" : " queries)"));
  }
  return choices;
}

/// Hidden until the script runs: without it they would do nothing.
void write_controls(HtmlWriter& html, const QueryPage& page) {
  const auto explorer = html.open("div", {{"id", "explorer"}, {"hidden", "hidden"}});
  html.element("h3", {{"id", "found"}, {"tabindex", "-1"}}, "All queries");
  {
    const auto form = html.open("form", {{"class", "controls"}, {"id", "controls"}, {"aria-labelledby", "found"}});
    write_choice(html, "order", "Order", orders(page));
    write_choice(html, "products", "Products", product_counts(page));
    const Choices results = page.compares()
                                ? Choices{{"any", "any"}, {"differ", "the runs differ"}, {"same", "all the same"}}
                                : Choices{{"any", "any"}, {"zero", "0"}, {"some", "between"}, {"full", "100"}};
    write_choice(html, "result", page.compares() ? "Scores" : page.metric, results);
    const auto label = html.open("label", {{"class", "search"}});
    html.text("Label, title or id");
    html.empty("input", {{"type", "search"}, {"name", "text"}, {"autocomplete", "off"}, {"spellcheck", "false"}});
  }
  {
    const auto bar = html.open("div", {{"class", "pager"}});
    html.element("p", {{"id", "count"}, {"role", "status"}}, "");
    html.element("button", {{"type", "button"}, {"id", "previous"}}, "Previous");
    html.element("button", {{"type", "button"}, {"id", "next"}}, "Next");
    const auto keys = html.open("p", {{"class", "note keys"}});
    for (const auto& [key, words] :
         {std::pair{"J", " next query "}, std::pair{"K", " previous "}, std::pair{"/", " search"}}) {
      html.element("kbd", {}, key);
      html.text(words);
    }
  }
  html.element("div", {{"id", "cards"}}, "");
  const auto bar = html.open("div", {{"class", "pager end"}});
  html.element("button", {{"type", "button"}, {"id", "previous-end"}}, "Previous");
  html.element("button", {{"type", "button"}, {"id", "next-end"}}, "Next");
}

bool has_photos(const QueryPage& page) {
  const auto shows = [](const ReportItem& item) { return !item.thumbnail.empty(); };
  return std::any_of(page.gallery.begin(), page.gallery.end(), shows) ||
         std::any_of(page.queries.begin(), page.queries.end(), [&](const auto& query) { return shows(*query.item); });
}

}  // namespace

void write_query_section(HtmlWriter& html, const QueryPage& page, RenderedReport& rendered) {
  if (page.queries.empty() || page.shown == 0) return;
  const std::vector<Group> groups = groups_of(page);
  size_t shown = 0;
  for (const Group& group : groups) shown += group.queries.size();
  const bool explores = shown < page.queries.size();
  const auto section = html.open("section", {{"id", "queries"}, {"class", has_photos(page) ? "" : "plain"}});
  html.element("h2", {}, page.compares() ? "Query by query" : "What was asked, what was found");
  html.element("p", {{"class", "lead"}},
               page.compares() ? "The first ten items of the gallery that each run found, side by side, best first."
                               : overview(page));
  write_legend(html);
  if (explores) write_controls(html, page);
  {
    const auto highlights = html.open("div", {{"id", "highlights"}});
    Photos photos(explores ? page.folder : "", has_photos(page));
    for (const Group& group : groups) {
      if (group.queries.empty()) continue;
      html.element("h3", {}, group.heading);
      html.element("p", {{"class", "note"}}, group.note);
      for (const size_t i : group.queries) write_card(html, photos, page, i);
    }
  }
  if (explores) rendered.queries = query_data(page, rendered.photos);
}

}  // namespace capture
