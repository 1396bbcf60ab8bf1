// What capture_eval wrote about a run, read back to be compared with another's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/retrieval/rankings.h"

namespace capture {

/// The figures of one ranking.
struct QueryResult {
  std::string id;
  std::vector<std::string> labels;  ///< as listed
  int64_t positives = 0;
  std::vector<double> values;  ///< one a figure of the run; NaN where the query has none

  size_t products() const;  ///< distinct labels
};

struct RunResults {
  std::string name;              ///< short: what tells it from the others
  std::filesystem::path folder;  ///< holds per_query.jsonl
  Json metrics;                  ///< metrics.json
  std::vector<std::string> figures;
  std::vector<QueryResult> queries;     ///< in the order of the file
  std::map<std::string, size_t> by_id;  ///< into queries
  /// The column of a figure ("strict mAP@10"); UserError, naming what there is, when the run lacks it.
  size_t figure(const std::string& name) const;
};

/// Results in `path`, or in its folder eval. UserError when there are none, they are damaged, or a query stands twice.
RunResults read_results(const std::filesystem::path& path);

/// UserError, naming what differs first, unless both answered the same queries, with the same labels, over the same
/// gallery.
void require_same_task(const RunResults& first, const RunResults& second);

/// The figures that all runs have, in the order of the first; UserError when there is none.
std::vector<std::string> shared_figures(const std::vector<RunResults>& runs);

/// Names the runs after the parts of their paths that differ: a/demo/eval and a/seed7/eval are demo and seed7.
void name_runs(std::vector<RunResults>& runs);

/// The gallery as it was listed: from the run's folder, or the file that metrics.json names if it is as it was; else
/// none.
std::optional<ProductList> read_gallery(const RunResults& run);
/// The query lists, found likewise; empty when one of them is not there.
std::vector<ProductList> read_queries(const RunResults& run);
/// The rankings, found likewise.
std::optional<Rankings> read_run_rankings(const RunResults& run, const GroundTruth& truth);

/// UserError, naming an item, unless both galleries hold the same items with the same labels. Sizes are equal already.
void require_same_lists(const RunResults& first, const ProductList& gallery, const RunResults& second,
                        const ProductList& other);

}  // namespace capture
