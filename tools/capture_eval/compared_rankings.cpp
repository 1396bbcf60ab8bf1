// What the runs of a comparison found, with titles and photos, where their results carry them.
#include <algorithm>
#include <map>
#include <optional>

#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture_eval/compare.h"

namespace capture {

namespace {

constexpr size_t kShownResults = 10;

/// The gallery items and photos that a comparison shows, gathered run by run.
class Gatherer {
 public:
  Gatherer(ComparisonInput& comparison, std::deque<std::string>& photos) : comparison_(comparison), photos_(photos) {}

  void add(const RunResults& run) {
    std::optional<ProductList> gallery = read_gallery(run);
    const std::vector<ProductList> queries = read_queries(run);
    if (!gallery || queries.empty()) return missing(run);
    const GroundTruth truth(*gallery, queries);
    const std::optional<Rankings> rankings = read_run_rankings(run, truth);
    if (!rankings) return missing(run);
    std::map<std::string_view, const ListedProduct*> listed;
    for (const ProductList& list : queries) {
      for (const ListedProduct& product : list.products) listed[product.id] = &product;
    }
    std::map<std::string_view, size_t> ranked;
    for (size_t i = 0; i < rankings->lines.size(); ++i) ranked[rankings->lines[i].query_id] = i;
    captions_.clear();
    for (const ListedProduct& product : gallery->products) captions_[product.id] = &product;
    for (ComparedQuery& query : comparison_.queries) {
      std::vector<ReportResult>& ranking = query.rankings.emplace_back();
      if (const auto found = ranked.find(query.item.id); found != ranked.end()) {
        ranking = first_results(run, truth, rankings->lines[found->second]);
        add_photo(query.item, run, 'q', found->second);
      }
      if (const auto found = listed.find(query.item.id); found != listed.end())
        query.item.title = found->second->caption;
    }
  }

 private:
  void missing(const RunResults& run) {
    log::warn("{}: its ranking file or a list is not there, or has changed; the page does not show what it found",
              run.folder.string());
    for (ComparedQuery& query : comparison_.queries) query.rankings.emplace_back();
  }

  std::vector<ReportResult> first_results(const RunResults& run, const GroundTruth& truth, const Ranking& ranking) {
    std::vector<ReportResult> results;
    for (const int32_t item : ranking.items) {
      if (results.size() == kShownResults) break;
      if (item != kUnknown) results.push_back({place_of(run, truth, item), kNotMeasured});
    }
    return results;
  }

  /// The item's place in the comparison's gallery, which holds what is shown alone.
  size_t place_of(const RunResults& run, const GroundTruth& truth, int32_t item) {
    const std::string id(truth.item_id(item));
    const auto [place, is_new] = places_.emplace(id, comparison_.gallery.size());
    if (is_new) {
      comparison_.gallery.push_back({.id = id,
                                     .title = captions_.at(id)->caption,
                                     .labels = {std::string(truth.label_name(truth.item_label(item)))},
                                     .thumbnail = {}});
    }
    add_photo(comparison_.gallery[place->second], run, 'g', static_cast<size_t>(item));
    return place->second;
  }

  /// The photo that the run's own report shows, under the name that it has there.
  void add_photo(ReportItem& item, const RunResults& run, char kind, size_t index) {
    if (!item.thumbnail.empty()) return;
    for (const char* extension : {".jpg", ".png", ".webp"}) {
      std::string name(1, kind);
      name.append(std::to_string(index)).append(extension);
      const auto path = run.folder / "report_files" / name;
      if (!is_there(path)) continue;
      const std::string& bytes = photos_.emplace_back(read_file(path));
      item.thumbnail = std::as_bytes(std::span(bytes));
      return;
    }
  }

  ComparisonInput& comparison_;
  std::deque<std::string>& photos_;
  std::map<std::string, size_t> places_;
  std::map<std::string_view, const ListedProduct*> captions_;  // of the run that is being read
};

}  // namespace

void add_rankings(ComparisonInput& comparison, const std::vector<RunResults>& runs, std::deque<std::string>& photos) {
  Gatherer gatherer(comparison, photos);
  for (const RunResults& run : runs) gatherer.add(run);
}

}  // namespace capture
