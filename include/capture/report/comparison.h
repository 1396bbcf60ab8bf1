// A comparison of runs over the same queries: what a page, a terminal and a program are shown of it.
//
// As in report.h, figures are fractions and a positive difference means that the second run is higher.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "capture/report/report.h"

namespace capture {

/// One figure of two runs, over some of the queries.
struct ComparedFigure {
  std::string name;    ///< "mAP@10", or the kind of query: "2 products"
  size_t queries = 0;  ///< that it is the mean of
  double first = 0;    ///< mean of the first run
  double second = 0;   ///< mean of the second
  double difference = 0;
  double low = 0;  ///< interval of the difference
  double high = 0;
  double p = 1;           ///< of the paired randomisation test
  double p_adjusted = 1;  ///< for the family of tests that it is one of
  bool exact = false;     ///< p counts all patterns
  size_t won = 0;         ///< queries where the second run is higher
  size_t lost = 0;
  size_t tied = 0;
};

struct ComparedTable {
  std::string title;        ///< "strict", or "By number of products: strict mAP@10"
  std::string row_heading;  ///< "Figure"
  std::vector<ComparedFigure> rows;
};

/// Two runs against each other.
struct ComparedPair {
  size_t first = 0;  ///< indices into ComparisonInput::runs
  size_t second = 0;
  ComparedFigure headline;             ///< the figure that the comparison is about
  std::vector<ComparedTable> figures;  ///< all figures, one table a protocol
  ComparedTable products;              ///< the headline's figure by number of products
  ComparedTable labels;                ///< and by label, the one that the second wins most on first
};

struct ComparedRun {
  std::string name;    ///< "demo"
  std::string folder;  ///< "runs/demo/eval"
};

/// A query, and what each run found for it.
struct ComparedQuery {
  ReportItem item;
  size_t positives = 0;
  std::vector<double> values;                       ///< one a run, of the headline's figure
  std::vector<std::vector<ReportResult>> rankings;  ///< one a run, best first; empty where a run's are not known
};

struct ComparisonInput {
  std::string title = "Comparison";
  std::string dataset;
  std::string created;
  std::string metric;               ///< "strict mAP@10"
  double confidence = 0.95;         ///< of the intervals
  std::vector<ComparedRun> runs;    ///< two or more
  std::vector<ComparedPair> pairs;  ///< each run against the first
  std::vector<ReportItem> gallery;  ///< what ReportResult::item points into
  std::vector<ComparedQuery> queries;
  std::vector<ReportFact> facts;
  std::vector<ReportCommand> commands;
};

/// "+1.2", "−0.4" and "0.0": a difference of fractions in points.
std::string signed_points(double difference);

/// "0.031", "<0.001".
std::string p_value(double p);

/// "p = 0.031", "p < 0.001".
std::string p_words(double p);

/// The page, and what stands in the folder beside it.
RenderedReport render_comparison(const ComparisonInput& input, const std::string& folder = "comparison_files");

/// Writes render_comparison(input) to `path` and its photos beside it. UserError when they cannot be written.
void write_comparison(const std::filesystem::path& path, const ComparisonInput& input);

}  // namespace capture
