#include "capture_eval/compare.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>
#include <optional>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture_eval/output_folder.h"
#include "capture_eval/report_input.h"

namespace capture {

namespace {

/// The queries of a comparison, as positions in each of the two runs.
struct Pairing {
  const RunResults& first;
  const RunResults& second;
  std::vector<std::pair<size_t, size_t>> queries;
};

Pairing paired_queries(const RunResults& first, const RunResults& second) {
  Pairing pairing{first, second, {}};
  for (size_t i = 0; i < first.queries.size(); ++i) {
    pairing.queries.emplace_back(i, second.by_id.at(first.queries[i].id));
  }
  return pairing;
}

/// One result a figure, over those of the chosen queries (positions in pairing.queries) that have all of the figures.
std::vector<ComparedFigure> compare_figures(const Pairing& pairing, const std::vector<size_t>& chosen,
                                            const std::vector<std::string>& names, const PairedOptions& options) {
  PairedFigures figures{.figures = names.size(), .first = {}, .second = {}};
  std::vector<std::pair<size_t, size_t>> columns;
  for (const std::string& name : names) columns.emplace_back(pairing.first.figure(name), pairing.second.figure(name));
  for (const size_t query : chosen) {
    const auto& [here, there] = pairing.queries[query];
    const std::vector<double>& first = pairing.first.queries[here].values;
    const std::vector<double>& second = pairing.second.queries[there].values;
    if (std::ranges::any_of(columns, [&](const auto& column) { return first[column.first] != first[column.first]; })) {
      continue;  // left out as unanswerable: a NaN
    }
    for (const auto& [in_first, in_second] : columns) {
      figures.first.push_back(first[in_first]);
      figures.second.push_back(second[in_second]);
    }
  }
  std::vector<ComparedFigure> compared;
  const std::vector<PairedDifference> results = compare_paired(figures, options);
  for (size_t i = 0; i < results.size(); ++i) {
    const PairedDifference& result = results[i];
    compared.push_back({.name = names[i],
                        .queries = figures.queries(),
                        .first = result.first,
                        .second = result.second,
                        .difference = result.difference,
                        .low = result.low,
                        .high = result.high,
                        .p = result.p,
                        .p_adjusted = result.p,
                        .exact = result.exact,
                        .won = static_cast<size_t>(result.won),
                        .lost = static_cast<size_t>(result.lost),
                        .tied = static_cast<size_t>(result.tied)});
  }
  return compared;
}

std::vector<size_t> all_of(const Pairing& pairing) {
  std::vector<size_t> all(pairing.queries.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}

/// The figures of each protocol: "strict mAP@10" stands in the table "strict" as "mAP@10".
std::vector<ComparedTable> protocol_figures(const Pairing& pairing, const std::vector<std::string>& names,
                                            const PairedOptions& options) {
  std::vector<ComparedTable> tables;
  for (const std::string prefix : {"strict ", "official "}) {
    std::vector<std::string> own;
    std::ranges::copy_if(names, std::back_inserter(own), [&](const auto& name) { return name.starts_with(prefix); });
    ComparedTable table{.title = prefix.substr(0, prefix.size() - 1), .row_heading = "Figure", .rows = {}};
    table.rows = compare_figures(pairing, all_of(pairing), own, options);
    for (ComparedFigure& row : table.rows) row.name.erase(0, prefix.size());
    if (!table.rows.empty()) tables.push_back(std::move(table));
  }
  return tables;
}

/// The figure over each part of the queries; p is adjusted for their number.
template <class Key>
ComparedTable by_part(const Pairing& pairing, const std::map<Key, std::vector<size_t>>& parts,
                      const std::string& metric, const PairedOptions& options) {
  ComparedTable table;
  std::vector<double> p;
  for (const auto& [key, queries] : parts) {
    for (ComparedFigure& row : compare_figures(pairing, queries, {metric}, options)) {
      if constexpr (std::is_same_v<Key, std::string>) {
        row.name = key;
      } else {
        row.name = std::to_string(key) + (key == 1 ? " product" : " products");
      }
      p.push_back(row.p);
      table.rows.push_back(std::move(row));
    }
  }
  const std::vector<double> adjusted = benjamini_hochberg(p);
  for (size_t i = 0; i < adjusted.size(); ++i) table.rows[i].p_adjusted = adjusted[i];
  return table;
}

ComparedTable by_products(const Pairing& pairing, const std::string& metric, const PairedOptions& options) {
  std::map<size_t, std::vector<size_t>> parts;
  for (size_t i = 0; i < pairing.queries.size(); ++i) {
    parts[pairing.first.queries[pairing.queries[i].first].products()].push_back(i);
  }
  ComparedTable table = by_part(pairing, parts, metric, options);
  table.title = metric + " by number of products";
  table.row_heading = "Products a query";
  return table;
}

ComparedTable by_label(const Pairing& pairing, const std::string& metric, const PairedOptions& options) {
  std::map<std::string, std::vector<size_t>> parts;
  for (size_t i = 0; i < pairing.queries.size(); ++i) {
    for (const std::string& label : pairing.first.queries[pairing.queries[i].first].labels) {
      std::vector<size_t>& own = parts[label];
      if (own.empty() || own.back() != i) own.push_back(i);  // a label listed twice counts once
    }
  }
  ComparedTable table = by_part(pairing, parts, metric, options);
  table.title = metric + " by label";
  table.row_heading = "Label";
  std::ranges::stable_sort(table.rows, std::greater(), &ComparedFigure::difference);
  return table;
}

ComparedPair compared_pair(const std::vector<RunResults>& runs, size_t second, const std::vector<std::string>& names,
                           const std::string& metric, const PairedOptions& options) {
  const Pairing pairing = paired_queries(runs[0], runs[second]);
  ComparedPair pair;
  pair.second = second;
  pair.figures = protocol_figures(pairing, names, options);
  const auto headline = compare_figures(pairing, all_of(pairing), {metric}, options);
  if (headline.empty()) throw UserError({.what = "no query has a " + metric, .where = runs[0].folder.string()});
  pair.headline = headline[0];
  pair.products = by_products(pairing, metric, options);
  pair.labels = by_label(pairing, metric, options);
  return pair;
}

/// Several runs against one are a family of tests too.
void adjust_for_runs(std::vector<ComparedPair>& pairs) {
  const auto adjust = [&](auto figure_of) {
    std::vector<double> p;
    for (ComparedPair& pair : pairs) p.push_back(figure_of(pair).p);
    const std::vector<double> adjusted = holm(p);
    for (size_t i = 0; i < pairs.size(); ++i) figure_of(pairs[i]).p_adjusted = adjusted[i];
  };
  adjust([](ComparedPair& pair) -> ComparedFigure& { return pair.headline; });
  for (size_t t = 0; t < pairs[0].figures.size(); ++t) {
    for (size_t r = 0; r < pairs[0].figures[t].rows.size(); ++r) {
      adjust([&](ComparedPair& pair) -> ComparedFigure& { return pair.figures[t].rows[r]; });
    }
  }
}

/// Where two runs differ most comes first: that is what a reader looks for.
void add_queries(ComparisonInput& comparison, const std::vector<RunResults>& runs) {
  std::vector<size_t> columns;
  for (const RunResults& run : runs) columns.push_back(run.figure(comparison.metric));
  for (const QueryResult& query : runs[0].queries) {
    ComparedQuery row{.item = {.id = query.id, .title = {}, .labels = query.labels, .thumbnail = {}},
                      .positives = static_cast<size_t>(std::max<int64_t>(0, query.positives)),
                      .values = {},
                      .rankings = {}};
    for (size_t i = 0; i < runs.size(); ++i) {
      row.values.push_back(runs[i].queries[runs[i].by_id.at(query.id)].values[columns[i]]);
    }
    comparison.queries.push_back(std::move(row));
  }
}

std::vector<RunResults> read_runs(const CompareArguments& arguments) {
  std::vector<RunResults> runs;
  for (const auto& path : arguments.runs) runs.push_back(read_results(path));
  for (size_t i = 1; i < runs.size(); ++i) {
    require_same_task(runs[0], runs[i]);
    const std::optional<ProductList> gallery = read_gallery(runs[0]);
    const std::optional<ProductList> other = gallery ? read_gallery(runs[i]) : std::nullopt;
    if (other) require_same_lists(runs[0], *gallery, runs[i], *other);
  }
  name_runs(runs);
  for (size_t i = 0; i < arguments.names.size(); ++i) runs[i].name = arguments.names[i];
  return runs;
}

}  // namespace

void add_compare_options(CLI::App& app, CompareArguments& arguments) {
  app.add_option("runs", arguments.runs, "Folders that capture_eval wrote, or runs with such a folder eval in them")
      ->required()
      ->expected(2, 64);
  app.add_option("--names", arguments.names, "What to call the runs; by default what differs in their paths")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--metric", arguments.metric,
                 "The figure to look at by label and by query; by default strict mAP at the first cutoff");
  app.add_option("--flips", arguments.paired.flips, "Random patterns of the test; few queries are counted out")
      ->check(CLI::Range(100, 10000000))
      ->capture_default_str();
  app.add_option("--resamples", arguments.paired.resamples, "Samples of the intervals")
      ->check(CLI::Range(100, 10000000))
      ->capture_default_str();
  app.add_option("--confidence", arguments.paired.confidence, "Of the intervals")
      ->check(CLI::Range(0.5, 0.9999))
      ->capture_default_str();
  app.add_option("--seed", arguments.paired.seed, "Of test and intervals")->capture_default_str();
  app.add_option("--threads", arguments.paired.threads, "CPU threads; 0 for all")->check(CLI::Range(0, 1024));
  app.add_flag("--json", arguments.json, "Print JSON instead of text");
  app.add_option("--output", arguments.output, "Folder for comparison.json and comparison.html");
  app.add_option("--title", arguments.title, "What the page calls the data");
}

ComparisonInput compared(const std::vector<RunResults>& runs, const CompareArguments& arguments) {
  ComparisonInput comparison;
  const std::vector<std::string> names = shared_figures(runs);
  comparison.metric = arguments.metric.empty() ? names.front() : arguments.metric;
  comparison.confidence = arguments.paired.confidence;
  for (const RunResults& run : runs) {
    run.figure(comparison.metric);  // refused by name where a run lacks it
    comparison.runs.push_back({run.name, run.folder.string()});
  }
  for (size_t second = 1; second < runs.size(); ++second) {
    comparison.pairs.push_back(compared_pair(runs, second, names, comparison.metric, arguments.paired));
  }
  adjust_for_runs(comparison.pairs);
  add_queries(comparison, runs);
  return comparison;
}

void compare_runs(const CompareArguments& arguments) {
  if (!arguments.names.empty() && arguments.names.size() != arguments.runs.size()) {
    throw CLI::ValidationError("--names", "names " + std::to_string(arguments.names.size()) + " of " +
                                              std::to_string(arguments.runs.size()) + " runs");
  }
  std::optional<OutputFolder> output;
  if (!arguments.output.empty()) output.emplace(arguments.output);
  const std::vector<RunResults> runs = read_runs(arguments);
  ComparisonInput comparison = compared(runs, arguments);
  const std::string json = to_text(comparison_json(comparison, arguments.paired));
  std::fputs((arguments.json ? json : comparison_text(comparison)).c_str(), stdout);
  if (!output) return;
  std::deque<std::string> photos;
  add_rankings(comparison, runs, photos);
  comparison.created = date_and_time();
  comparison.dataset = arguments.title;
  comparison.commands = {{"This comparison", command_line(arguments.command)}};
  write_file(output->file("comparison.json"), json);
  output->folder("comparison_files");
  write_comparison(output->file("comparison.html"), comparison);
  output->commit();
  log::info("the page is {}", (output->path() / "comparison.html").string());
}

}  // namespace capture
