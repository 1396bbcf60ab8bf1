// A query and what was found for it, as photos: by one run, or by several side by side.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/report/report.h"
#include "photos.h"

namespace capture {

inline constexpr size_t kShownResults = 10;  // of each ranking

/// A query as the page shows it. Everything is borrowed.
struct ShownQuery {
  const ReportItem* item;
  size_t positives = 0;
  size_t first_hit = 0;
  std::vector<double> values;                              ///< one a run
  std::vector<const std::vector<ReportResult>*> rankings;  ///< one a run
};

/// All queries of a page, and what their cards share.
struct QueryPage {
  std::string metric;
  std::vector<std::string> runs;  ///< their names; one, which is not shown, for a report of one run
  std::span<const ReportItem> gallery;
  std::vector<ShownQuery> queries;
  std::vector<std::string> chosen = {};
  size_t shown = 8;  ///< of each group, and on a page of the script's
  uint64_t seed = 1;
  std::string folder;  ///< beside the page

  bool compares() const { return runs.size() > 1; }
};

/// The labels, each once, in the order listed.
std::vector<std::string> distinct(const std::vector<std::string>& labels);

/// One card. `index` is the query's in page.queries. Throws std::out_of_range for a result outside the gallery.
void write_card(HtmlWriter& html, Photos& photos, const QueryPage& page, size_t index);

/// <section id="queries">: a random choice and the worst (comparing: those won and lost most), and controls with which
/// the page's script shows any. Fills `rendered` with what stands beside the page.
void write_query_section(HtmlWriter& html, const QueryPage& page, RenderedReport& rendered);

/// All queries for the script, as one call of its function explore(); adds the photos that it may ask for.
std::string query_data(const QueryPage& page, std::vector<ReportPhoto>& photos);

}  // namespace capture
