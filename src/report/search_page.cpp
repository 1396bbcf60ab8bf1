#include "capture/report/search_page.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "capture/base/files.h"
#include "capture/report/html.h"
#include "cards.h"
#include "photos.h"
#include "sections.h"

namespace capture {

namespace {

constexpr std::string_view kStyle = R"(
.banner{padding-bottom:0}
.query{border-top:0;padding-top:26px}
.query+.query{border-top:1px solid var(--line)}
.asked .words h2{font-size:1.15rem;margin-bottom:.35rem}
.quoted{grid-column:1/-1;border-left:3px solid var(--accent);padding:.3rem 0 .3rem .8rem}
.ranking{grid-template-columns:repeat(auto-fill,minmax(9.2rem,1fr))}
.ranking li{border:1px solid var(--line);padding:8px}
.ranking .mark{margin:0 0 6px}
.mark .score{font-weight:600}
.meter{display:block;height:4px;margin-bottom:7px;border-radius:2px;background:var(--faint);overflow:hidden}
.meter i{display:block;height:100%;background:var(--accent)}
.ranking .title{margin:.4rem 0 .3rem;-webkit-line-clamp:3}
.ranking .labels{margin:0 0 .35rem}
.ranking .id{margin:auto 0 0;font-size:.76rem}
@media (max-width:560px){.ranking{grid-template-columns:repeat(2,minmax(0,1fr))}.ranking li{padding:6px}}
@media print{
.query{break-inside:auto;display:block;padding-top:12pt}
.query .asked{display:grid;grid-template-columns:2.6cm minmax(0,1fr);gap:12pt;margin-bottom:8pt;break-after:avoid}
.ranking{grid-template-columns:repeat(6,minmax(0,1fr));gap:5pt;padding-right:1pt}
.ranking li{break-inside:avoid;padding:4pt}
.ranking .title{font-size:8pt}
.ranking .id{font-size:7pt}}
)";

class Page {
 public:
  explicit Page(const SearchPage& page) : page_(page) {}

  std::string render() {
    html_.raw("<!doctype html>\n");
    {
      const auto root = html_.open("html", {{"lang", "en"}});
      write_head();
      const auto body = html_.open("body");
      write_banner();
      const auto main = html_.open("main", {{"id", "content"}});
      for (const AskedQuestion& question : page_.asked) write_question(question);
    }
    html_.raw("\n");
    return html_.take();
  }

 private:
  void write_head() {
    const auto head = html_.open("head");
    html_.empty("meta", {{"charset", "utf-8"}});
    html_.empty("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
    html_.empty("meta", {{"name", "color-scheme"}, {"content", "light dark"}});
    html_.element("title", {}, "What was found · " + page_.gallery);
    const auto style = html_.open("style");
    html_.raw(style_sheet());
    html_.raw(kStyle);
  }

  void write_banner() {
    const auto banner = html_.open("header", {{"class", "banner"}});
    html_.element("h1", {}, "What was found");
    {
      const auto line = html_.open("p", {{"class", "origin"}});
      for (const std::string* part : {&page_.gallery, &page_.model, &page_.created}) {
        if (!part->empty()) html_.element("bdi", {}, *part);
      }
    }
    if (page_.left_out == 0) return;
    html_.element("p", {{"class", "note"}},
                  "The first " + grouped(page_.asked.size()) + " questions of " +
                      grouped(page_.asked.size() + page_.left_out) + "; the answers to the others are not shown here.");
  }

  void write_question(const AskedQuestion& question) {
    const auto article = html_.open("article", {{"class", "query"}});
    write_asked(question);
    if (question.found.empty()) {
      html_.element("p", {{"class", "note"}}, "Nothing was found.");
      return;
    }
    const auto list = html_.open("ol", {{"class", "ranking"}, {"aria-label", "what was found, best first"}});
    // Scores are at most 1, or 2 where two similarities add up.
    const double full = question.found.front().score > 1 ? 2 : 1;
    for (size_t i = 0; i < question.found.size(); ++i) write_found(question.found[i], i + 1, full);
  }

  void write_asked(const AskedQuestion& question) {
    const auto asked = html_.open("div", {{"class", "asked"}});
    const std::string& title = question.asked.title;
    if (question.photo) photos_.write(html_, question.asked, photo_name('q', questions_++), "The photo asked with");
    const auto words = html_.open("div", {{"class", question.photo ? "words" : "words quoted"}});
    html_.element("h2", {{"dir", "auto"}}, title.empty() ? question.asked.id : title);
    html_.element("p", {{"class", "note"}}, question.how);
    if (!title.empty() && !question.asked.id.empty() && question.asked.id != title) {
      html_.element("p", {{"class", "note id"}, {"title", question.asked.id}}, question.asked.id);
    }
  }

  void write_found(const FoundItem& found, size_t rank, double full) {
    const ReportItem& item = found.item;
    const std::string& title = item.title.empty() ? item.id : item.title;
    const auto card = html_.open("li");
    {
      const auto mark = html_.open("p", {{"class", "mark"}});
      html_.element("span", {{"class", "rank"}}, std::to_string(rank));
      const auto score = html_.open("span", {{"class", "score"}});
      html_.element("span", {{"class", "unseen"}}, "score ");
      html_.text(fixed(found.score, 3));
    }
    {
      const auto meter = html_.open("span", {{"class", "meter"}, {"aria-hidden", "true"}});
      const std::string width = fixed(100 * std::clamp(found.score / full, 0.0, 1.0), 1);
      html_.element("i", {{"style", "width:" + width + "%"}}, "");
    }
    photos_.write(html_, item, photo_name('g', items_++), "Photo of " + title);
    html_.element("p", {{"class", "title"}, {"dir", "auto"}}, title);
    write_labels(item, title);
    html_.element("p", {{"class", "note id"}, {"title", item.id}}, item.id);
  }

  /// The labels that the title does not say already.
  void write_labels(const ReportItem& item, const std::string& title) {
    std::vector<std::string> labels;
    for (std::string& label : distinct(item.labels)) {
      if (label != title) labels.push_back(std::move(label));
    }
    if (labels.empty()) return;
    const auto list = html_.open("ul", {{"class", "labels"}, {"aria-label", "labels"}});
    for (const std::string& label : labels) html_.element("li", {{"dir", "auto"}}, label);
  }

  const SearchPage& page_;
  HtmlWriter html_;
  Photos photos_;
  size_t questions_ = 0;  // with a photo, so far
  size_t items_ = 0;
};

}  // namespace

std::string render_search_page(const SearchPage& page) {
  return Page(page).render();
}

void write_search_page(const std::filesystem::path& path, const SearchPage& page) {
  write_file(path, render_search_page(page));
}

}  // namespace capture
