// capture_data stats: how long, how many, how often, as a table, as JSON and as a page.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "capture/base/progress.h"
#include "capture/base/terminal.h"
#include "capture/report/html.h"
#include "capture/report/report.h"
#include "commands.h"
#include "dataset_stats.h"

namespace capture {

namespace {

struct StatsOptions {
  std::vector<std::filesystem::path> paths;
  std::filesystem::path tokenizer;
  std::filesystem::path html;
  int64_t labels = 20;
  int64_t workers = std::max(1U, std::thread::hardware_concurrency());
  bool json = false;
};

struct Row {
  const char* name;
  const char* key;
  const Histogram* histogram;
};

std::vector<Row> rows_of(const DatasetStats& stats) {
  std::vector<Row> rows = {{"title characters", "title_characters", &stats.characters},
                           {"title tokens", "title_tokens", &stats.tokens},
                           {"regions a view", "regions", &stats.regions},
                           {"views a sample", "views", &stats.views},
                           {"labels a sample", "labels", &stats.labels}};
  std::erase_if(rows, [](const Row& row) { return row.histogram->total() == 0; });
  return rows;
}

Json to_json(const Histogram& histogram) {
  Json counts = Json::object();
  for (const auto& [value, count] : histogram.counts()) counts[std::to_string(value)] = count;
  return {{"count", histogram.total()},        {"mean", histogram.mean()},        {"least", histogram.quantile(0)},
          {"median", histogram.quantile(0.5)}, {"p95", histogram.quantile(0.95)}, {"most", histogram.quantile(1)},
          {"counts", std::move(counts)}};
}

Json to_json(const DatasetStats& stats) {
  Json json = {{"samples", stats.samples}, {"empty_titles", stats.empty_titles}};
  json["unknown_token_share"] = stats.unknown < 0 ? Json() : Json(stats.unknown);
  for (const Row& row : rows_of(stats)) json[row.key] = to_json(*row.histogram);
  json["distinct_labels"] = stats.label_counts.size();
  json["label_counts"] = Json::object();
  for (const auto& [label, samples] : stats.label_counts) json["label_counts"][label] = samples;
  return json;
}

void print_table(const DatasetStats& stats, size_t labels) {
  fmt::print("{} samples\n\n  {:<18}{:>10}{:>8}{:>8}{:>8}{:>8}\n", stats.samples, "", "mean", "least", "median", "95 %",
             "most");
  for (const Row& row : rows_of(stats)) {
    const Histogram& h = *row.histogram;
    fmt::print("  {:<18}{:>10.2f}{:>8}{:>8}{:>8}{:>8}\n", row.name, h.mean(), h.quantile(0), h.quantile(0.5),
               h.quantile(0.95), h.quantile(1));
  }
  if (stats.empty_titles > 0) fmt::print("\n{} titles are empty\n", stats.empty_titles);
  if (stats.unknown >= 0) fmt::print("\n{:.3f} % of all tokens are unknown to the vocabulary\n", 100 * stats.unknown);
  if (stats.label_counts.empty()) return;
  fmt::print("\n{} distinct labels, the most frequent:\n", stats.label_counts.size());
  for (size_t i = 0; i < std::min(labels, stats.label_counts.size()); ++i) {
    fmt::print("  {:>8}  {}\n", stats.label_counts[i].samples, one_line(stats.label_counts[i].label));
  }
}

/// A histogram of at most kBars bars, as their outline.
ReportChart chart_of(const Row& row) {
  constexpr int64_t kBars = 40;
  const int64_t least = row.histogram->quantile(0);
  const int64_t width = (row.histogram->quantile(1) - least) / kBars + 1;
  std::vector<double> bars;
  for (const auto& [value, count] : row.histogram->counts()) {
    const auto bar = static_cast<size_t>((value - least) / width);
    if (bars.size() <= bar) bars.resize(bar + 1);
    bars[bar] += static_cast<double>(count);
  }
  ReportSeries outline{.name = "", .x = {static_cast<double>(least)}, .y = {0}};
  for (size_t bar = 0; bar < bars.size(); ++bar) {
    for (const size_t side : {bar, bar + 1}) {
      outline.x.push_back(static_cast<double>(least + static_cast<int64_t>(side) * width));
      outline.y.push_back(bars[bar]);
    }
  }
  outline.x.push_back(outline.x.back());
  outline.y.push_back(0);
  return {.title = row.name,
          .x_label = row.name,
          .y_label = width == 1 ? "times" : fmt::format("times, in steps of {}", width),
          .series = {std::move(outline)}};
}

ReportChart label_chart(const DatasetStats& stats) {
  ReportChart chart{.title = "Label frequency",
                    .x_label = "label, by frequency",
                    .y_label = "times",
                    .series = {{.name = "", .x = {}, .y = {}}}};
  for (const LabelCount& count : stats.label_counts) {
    chart.series.front().x.push_back(static_cast<double>(chart.series.front().x.size() + 1));
    chart.series.front().y.push_back(static_cast<double>(count.samples));
  }
  return chart;
}

/// "a product (28), another (17), …".
std::string frequent_labels(const DatasetStats& stats) {
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, stats.label_counts.size()); ++i) {
    const auto& [label, samples] = stats.label_counts[i];
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", label, grouped(static_cast<size_t>(samples)));
  }
  return text + (stats.label_counts.size() > kShown ? ", …" : "");
}

void write_page(const std::filesystem::path& path, const std::string& dataset, const DatasetStats& stats) {
  ReportInput page;
  page.title = "What is in the dataset";
  page.dataset = dataset;
  page.charts_heading = "How often";
  page.facts_heading = "In numbers";
  for (const Row& row : rows_of(stats)) {
    const Histogram& h = *row.histogram;
    if (h.counts().size() > 1) page.charts.push_back(chart_of(row));
    page.facts.push_back({.name = row.name,
                          .value = fmt::format("mean {:.2f}, median {}, from {} to {}", h.mean(), h.quantile(0.5),
                                               h.quantile(0), h.quantile(1))});
  }
  if (stats.label_counts.size() > 1) page.charts.push_back(label_chart(stats));
  page.facts.push_back({.name = "samples", .value = grouped(static_cast<size_t>(stats.samples))});
  page.facts.push_back({.name = "distinct labels", .value = grouped(stats.label_counts.size())});
  if (!stats.label_counts.empty())
    page.facts.push_back({.name = "most frequent labels", .value = frequent_labels(stats)});
  if (stats.unknown >= 0)
    page.facts.push_back({.name = "unknown tokens", .value = fixed(100 * stats.unknown, 3) + " %"});
  write_report(path, page);
}

void run(const StatsOptions& options) {
  const Dataset dataset(options.paths);
  std::unique_ptr<Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) {
    const bool pieces = options.tokenizer.extension() == ".model";
    tokenizer = load_tokenizer(
        {.type = pieces ? TokenizerType::sentencepiece : TokenizerType::wordpiece, .file = options.tokenizer.string()});
  }
  ProgressBar progress("count", dataset.size(), "samples");
  const DatasetStats stats =
      count(dataset, tokenizer.get(), options.workers, [&](int64_t done) { progress.update(done); });
  progress.clear();
  if (!options.html.empty()) write_page(options.html, options.paths.front().filename().string(), stats);
  if (options.json) {
    fmt::print("{}\n", to_line(to_json(stats)));
  } else {
    print_table(stats, static_cast<size_t>(options.labels));
  }
}

}  // namespace

void add_stats(CLI::App& app) {
  CLI::App* command = app.add_subcommand("stats", "Counts lengths, regions, views, labels and unknown tokens.");
  const auto options = std::make_shared<StatsOptions>();
  command->add_option("dataset", options->paths, "Shards (*.capshard) or folders of them")->required();
  command->add_option("--tokenizer", options->tokenizer, "Cut titles with this vocabulary, or sentencepiece *.model")
      ->type_name("FILE");
  command->add_option("--labels", options->labels, "How many labels to print")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--workers", options->workers, "Threads")->check(CLI::Range(1, 256))->capture_default_str();
  command->add_option("--html", options->html, "Also write a page with plots")->type_name("FILE");
  command->add_flag("--json", options->json, "One line of JSON instead, every label in it");
  command->footer("Example: capture_data stats data/train --tokenizer vocab.txt --html train.html");
  command->callback([options] { run(*options); });
}

}  // namespace capture
