// The report of one evaluation: an HTML page that opens offline, made to be read by a person. Where it has more queries
// than it shows at once, a script lets the reader filter and sort them all, and their photos stand in a folder beside
// it; without script or folder the page still shows a random choice and the worst.
//
// The caller fills plain structs and the report decides how they look. Every text may hold any bytes: it is escaped,
// and bytes that are not UTF-8 are replaced. A part that is left empty leaves its section out. All metric values are
// fractions (0.792 is shown as 79.2), higher is better, and NaN means "not measured".
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace capture {

/// Stands for a number that was not measured.
inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

/// The number that a reader should take home about one kind of query, put into words by the report.
struct ReportHeadline {
  std::string queries;              ///< which queries, as a heading: "Photos of one product"
  std::string metric;               ///< "strict mAP@10"
  double value = kNotMeasured;      ///< the trained model's, a fraction
  double first_ten = kNotMeasured;  ///< its strict Prec@10: the share of the first ten results that match
  std::string reference;            ///< what it is compared with: "raw region features"; empty: nothing
  double reference_value = kNotMeasured;
  double reference_first_ten = kNotMeasured;
};

/// A row of a ReportTable: a system, or a cutoff N.
struct ReportRow {
  std::string name;            ///< "pretrained", or "first 10"
  std::string note;            ///< a few words under the name, or empty
  std::vector<double> values;  ///< one a column, fractions or NaN; a short row is filled with NaN
};

/// Numbers side by side. The best value of a column is marked where `compare_rows` is set.
struct ReportTable {
  std::string title;                 ///< "Photos of one product (405 queries)"
  std::string note;                  ///< a sentence under the table, or empty
  std::string row_heading;           ///< heading of the first column: "System"
  std::vector<std::string> columns;  ///< "strict mAP@10", …
  std::vector<ReportRow> rows;
  bool compare_rows = true;  ///< rows compete, so that "best" means something; false for metrics by N
};

/// row.values[column], or NaN where the row is too short.
double value_at(const ReportRow& row, size_t column);

/// The best value of a column where at least two measured rows compete, else NaN.
double best_value(const ReportTable& table, size_t column);

/// The metrics of one system by N under one protocol.
struct ReportProtocol {
  std::string name;                 ///< "strict" or "product1m_official", which the report explains; others as they are
  std::vector<ReportTable> tables;  ///< best one for each kind of query: rows are cutoffs, columns metrics
};

/// A line of a training curve. Points that are not finite leave a gap.
struct ReportSeries {
  std::string name;       ///< written at the line's end: "contrastive"
  std::vector<double> x;  ///< ascending, usually optimisation steps
  std::vector<double> y;  ///< as many as x
};

/// One line chart. Series without two finite points are drawn as a dot, a chart without any point is left out.
struct ReportChart {
  std::string title;  ///< "Training loss"
  std::string x_label = "step";
  std::string y_label;  ///< "loss"; may be empty
  std::vector<ReportSeries> series;
};

/// Shares of two or more kinds of values over a common range: scores of hits and of misses.
struct ReportHistogram {
  std::string title;                      ///< "Scores of the first 10 results"
  std::string x_label;                    ///< "score"
  double low = 0;                         ///< the left edge of the first bin
  double high = 1;                        ///< the right edge of the last, above low
  std::vector<ReportSeries> series = {};  ///< x is not used; y: the share of the series in each bin, bins equally wide
};

/// How well the queries of one label are answered.
struct ReportLabel {
  std::string name;
  size_t queries = 0;                       ///< that show it
  size_t items = 0;                         ///< of the gallery that carry it
  double average_precision = kNotMeasured;  ///< mean of ReportInput::query_metric over its queries
  double found = kNotMeasured;              ///< share of its queries with such an item among the first ten
};

/// Stands for no item of the gallery.
inline constexpr size_t kNoItem = static_cast<size_t>(-1);

/// One label that was found where another was asked for.
struct ReportConfusion {
  std::string asked;
  std::string found;
  double places = 0;            ///< results with the wrong label
  double share = kNotMeasured;  ///< of all places that the label asked for could have taken
  size_t asked_item = kNoItem;  ///< an example of each in the gallery
  size_t found_item = kNoItem;
};

/// A photo with its words: a query or an item of the gallery.
struct ReportItem {
  std::string id;
  std::string title;
  std::vector<std::string> labels;  ///< the products it shows; repeated labels are shown once
  /// An encoded JPEG, PNG or WebP image, about 150 to 200 pixels wide; borrowed, it must live until the report is
  /// written. Empty or anything else: a placeholder is shown.
  std::span<const std::byte> thumbnail;
};

/// One place of a ranking. Whether it is a hit follows from the labels: it shares one with the query.
struct ReportResult {
  size_t item = 0;   ///< index into ReportInput::gallery
  double score = 0;  ///< similarity, as ranked
};

/// A query and what was found for it. Without labels it has no hits and misses, and none are marked.
struct ReportQuery {
  ReportItem item;
  double average_precision = kNotMeasured;  ///< the metric named by ReportInput::query_metric, a fraction
  size_t positives = 0;                     ///< gallery items that show one of its labels; 0: not counted
  size_t first_hit = 0;                     ///< the place of the first of them in the whole ranking; 0: not known
  std::vector<ReportResult> ranking;        ///< best first; the first ten are shown
};

/// A fact about the run: {"Parameters", "1,234,567"}.
struct ReportFact {
  std::string name;
  std::string value;
};

/// A command that belongs to the run, and what it is for: {"Train", "capture_train --config …"}.
struct ReportCommand {
  std::string purpose;
  std::string command;  ///< may span lines
};

/// Everything a report shows, in the order in which it shows it.
struct ReportInput {
  std::string title = "Product retrieval";  ///< the page's title
  std::string dataset;                      ///< "Grocery Store, held-out photos"
  std::string run;                          ///< the model or run: "demo, seed 1"
  std::string created;                      ///< date and time as the reader should see it: "14 May 2025, 16:20"

  std::vector<ReportHeadline> headlines;  ///< one to three
  std::vector<ReportTable> systems;       ///< systems × metrics, one table for each kind of query
  std::vector<ReportProtocol> protocols;
  std::vector<ReportTable> breakdowns;  ///< figures by kind of query: by number of products, for example

  std::vector<ReportChart> curves;  ///< precision by recall
  std::vector<ReportHistogram> histograms;
  std::vector<ReportLabel> labels;          ///< the hardest first
  std::vector<ReportConfusion> confusions;  ///< the most frequent first

  std::vector<ReportChart> charts;
  std::string charts_heading = "Training";

  std::vector<ReportItem> gallery;     ///< what ReportResult::item points into
  std::vector<ReportQuery> queries;    ///< all of them: the worst are found here
  std::string query_metric = "AP@10";  ///< name of ReportQuery::average_precision
  std::vector<std::string> chosen;  ///< ids of queries to show first (unknown ones are passed over); empty: at random
  size_t queries_shown = 8;         ///< at most this many of them and as many of the worst; 100 at most
  uint64_t seed = 1;                ///< of the random choice

  std::vector<ReportFact> facts;  ///< sizes, recipe, seeds, versions
  std::string facts_heading = "About this run";
  std::vector<ReportCommand> commands;  ///< how to get the same numbers again
  std::string configuration;            ///< the resolved configuration, shown folded
};

/// A photo that stands beside the page.
struct ReportPhoto {
  std::string name;                  ///< of its file: "g12.jpg"
  std::span<const std::byte> bytes;  ///< borrowed from the input
};

/// A page and what its folder holds.
struct RenderedReport {
  std::string html;
  std::string queries;              ///< the file queries.js, all queries for the page's script; empty: inside the page
  std::vector<ReportPhoto> photos;  ///< files too; none where the page shows every query at once
};

/// The report; `folder` is what it calls the folder beside it.
RenderedReport render_report(const ReportInput& input, const std::string& folder = "report_files");

/// Writes the report to `path`, and what stands beside it to the folder <stem>_files, an older one of that name being
/// replaced. UserError when that fails.
void write_report(const std::filesystem::path& path, const ReportInput& input);

/// What write_report does with any page.
void write_page(const std::filesystem::path& path, const RenderedReport& page);
/// "report_files" for "a/report.html".
std::string files_folder(const std::filesystem::path& page);

}  // namespace capture
