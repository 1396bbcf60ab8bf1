// What lies behind the means: precision by recall, scores of hits and misses, labels and what they are taken for.
#include <algorithm>
#include <cmath>

#include "capture/report/plot.h"
#include "photos.h"
#include "sections.h"

namespace capture {

namespace {

constexpr size_t kHardest = 12;
constexpr size_t kConfusions = 12;

/// A link that makes the page's script show the queries of the label; to the queries without it.
void write_label(HtmlWriter& html, const std::string& label, bool linked) {
  if (!linked) {
    html.element("bdi", {}, label);
    return;
  }
  const auto link = html.open("a", {{"href", "#queries"}, {"data-label", label}});
  html.element("bdi", {}, label);
}

void write_label_table(HtmlWriter& html, const ReportInput& input, size_t count, std::string_view name) {
  const auto box = scroll_box(html, name);
  const auto grid = html.open("table", {{"class", "sortable"}, {"style", "--columns:4"}});
  {
    const auto head = html.open("thead");
    const auto row = html.open("tr");
    for (const std::string& heading : {std::string("Label"), std::string("Queries"), std::string("In the gallery"),
                                       input.query_metric, std::string("Found in first 10")}) {
      html.element("th", {{"scope", "col"}}, heading);
    }
  }
  const auto body = html.open("tbody");
  for (size_t i = 0; i < count; ++i) {
    const ReportLabel& label = input.labels[i];
    const auto row = html.open("tr");
    {
      const auto heading = html.open("th", {{"scope", "row"}});
      write_label(html, label.name, !input.queries.empty());
    }
    html.element("td", {}, grouped(label.queries));
    html.element("td", {}, grouped(label.items));
    write_share(html, label.average_precision, false);
    write_share(html, label.found, false);
  }
}

void write_hardest(HtmlWriter& html, const ReportInput& input) {
  if (input.labels.empty()) return;
  const auto part = html.open("div", {{"class", "table"}});
  const size_t hardest = std::min(kHardest, input.labels.size());
  const bool more = hardest < input.labels.size();
  html.element("h3", {}, more ? "The hardest labels" : "Labels, the hardest first");
  write_label_table(html, input, hardest, "The hardest labels");
  html.element("p", {{"class", "note"}},
               "Means over the queries that show the label. Found: the share of them with such an item among the first "
               "ten results.");
  if (!more) return;
  const auto folded = html.open("details", {{"class", "long"}});
  html.element("summary", {}, "All " + grouped(input.labels.size()) + " labels");
  write_label_table(html, input, input.labels.size(), "All labels");
}

/// A label with a photo of one of its items.
void write_example(HtmlWriter& html, Photos& photos, const ReportInput& input, const std::string& label, size_t item) {
  const auto side = html.open("span", {{"class", "side"}});
  if (item < input.gallery.size() && !input.gallery[item].thumbnail.empty()) {
    photos.write(html, input.gallery[item], photo_name('g', item), "");
  }
  write_label(html, label, !input.queries.empty());
}

/// "12 of 40": places of the results
std::string places_of(const ReportConfusion& confusion) {
  const double all = confusion.places / confusion.share;
  const bool whole = std::isfinite(all) && confusion.share > 0;
  return fixed(confusion.places, std::abs(confusion.places - std::round(confusion.places)) < 1e-9 ? 0 : 1) +
         (whole ? " of " + fixed(all, 0) : "");
}

void write_confusions(HtmlWriter& html, const ReportInput& input) {
  if (input.confusions.empty()) return;
  const auto part = html.open("div", {{"class", "table"}});
  html.element("h3", {}, "Taken for another");
  Photos photos;
  {
    const auto list = html.open("ol", {{"class", "confusions"}});
    for (size_t i = 0; i < std::min(kConfusions, input.confusions.size()); ++i) {
      const ReportConfusion& confusion = input.confusions[i];
      const auto entry = html.open("li");
      write_example(html, photos, input, confusion.asked, confusion.asked_item);
      {
        const auto middle = html.open("span", {{"class", "taken"}});
        html.element("span", {{"class", "unseen"}}, "is taken for");
        html.element("span", {{"aria-hidden", "true"}}, "→");
      }
      write_example(html, photos, input, confusion.found, confusion.found_item);
      html.element("span", {{"class", "places"}}, places_of(confusion));
    }
  }
  html.element(
      "p", {{"class", "note"}},
      "Asked for on the left, found on the right. Counted are the places that a perfect ranking would fill with "
      "matches, among the first ten; where a query shows several products, its labels share them.");
}

}  // namespace

void write_curves(HtmlWriter& html, const ReportInput& input) {
  std::vector<std::pair<std::string, std::string>> drawn;  // title, SVG
  for (const ReportChart& chart : input.curves) drawn.emplace_back(chart.title, render_chart(chart));
  for (const ReportHistogram& histogram : input.histograms) {
    drawn.emplace_back(histogram.title, render_histogram(histogram));
  }
  std::erase_if(drawn, [](const auto& one) { return one.second.empty(); });
  if (drawn.empty()) return;
  const auto section = html.open("section", {{"id", "curves"}});
  html.element("h2", {}, "Precision and scores");
  html.element("p", {{"class", "lead"}},
               "How precise the results stay as more of the matches are found, and how well the score alone tells hits "
               "from misses.");
  const auto grid = html.open("div", {{"class", "charts"}});
  for (const auto& [title, svg] : drawn) {
    const auto figure = html.open("figure");
    html.element("figcaption", {}, title);
    html.raw(svg);
  }
}

void write_labels(HtmlWriter& html, const ReportInput& input) {
  if (input.labels.empty() && input.confusions.empty()) return;
  const auto section = html.open("section", {{"id", "labels"}});
  html.element("h2", {}, "Where it goes wrong");
  html.element("p", {{"class", "lead"}},
               "The labels whose queries are answered worst, and what is found in their stead.");
  const auto columns = html.open("div", {{"class", "two"}});
  write_hardest(html, input);
  write_confusions(html, input);
}

}  // namespace capture
