// capture_data subset: some of a dataset's samples, by id, by number, by label, or at random.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>

#include "capture/base/error.h"
#include "capture/data/sampler.h"
#include "capture/text/titles.h"
#include "commands.h"
#include "rewrite.h"

namespace capture {

namespace {

struct SubsetOptions {
  RewriteOptions rewrite;
  std::filesystem::path ids;
  std::vector<std::string> labels;
  std::optional<int64_t> first;
  std::optional<int64_t> last;
  std::optional<int64_t> random;
  int64_t seed = 1;
};

std::set<std::string, std::less<>> read_ids(const std::filesystem::path& path) {
  std::set<std::string, std::less<>> ids;
  LineReader lines(path);
  for (std::string_view line; lines.next(line);) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) ids.emplace(line);
  }
  return ids;
}

/// Keeps the samples whose ids are listed; every listed id must be there.
void keep_ids(const Dataset& dataset, const std::filesystem::path& path, std::vector<int64_t>& chosen) {
  auto ids = read_ids(path);
  const size_t listed = ids.size();
  std::erase_if(chosen, [&](int64_t i) {
    const auto found = ids.find(dataset.sample(i).id());
    if (found == ids.end()) return true;
    ids.erase(found);
    return false;
  });
  if (ids.empty()) return;
  throw UserError({.what = fmt::format("{} of its {} ids are not among the samples; the first: \"{}\"", ids.size(),
                                       listed, *ids.begin()),
                   .where = path.string(),
                   .hint = "take them off the list"});
}

void keep_labels(const Dataset& dataset, const std::vector<std::string>& labels, std::vector<int64_t>& chosen) {
  const std::set<std::string_view> wanted(labels.begin(), labels.end());
  std::erase_if(chosen, [&](int64_t i) {
    return std::ranges::none_of(dataset.sample(i).labels(), [&](auto label) { return wanted.contains(label); });
  });
}

/// Draws without replacement: the same samples for the same seed.
void keep_random(int64_t count, int64_t seed, std::vector<int64_t>& chosen) {
  const auto available = std::ssize(chosen);
  if (count > available) {
    throw UserError({.what = fmt::format("asks for {} samples", count),
                     .where = "--random",
                     .allowed = fmt::format("at most {}, which are left to draw from", available)});
  }
  const Permutation order(available, static_cast<uint64_t>(seed), 0);
  std::vector<int64_t> drawn;
  for (int64_t i = 0; i < count; ++i) drawn.push_back(chosen[static_cast<size_t>(order(i))]);
  std::ranges::sort(drawn);
  chosen = std::move(drawn);
}

std::vector<int64_t> choose(const SubsetOptions& options, const Dataset& dataset) {
  const int64_t first = options.first.value_or(0);
  const int64_t last = options.last.value_or(dataset.size() - 1);
  if (first < 0 || first > last || last >= dataset.size()) {
    throw UserError({.what = fmt::format("samples {} to {} are asked for", first, last),
                     .where = "--first, --last",
                     .allowed = fmt::format("0 to {}", dataset.size() - 1)});
  }
  std::vector<int64_t> chosen(static_cast<size_t>(last - first + 1));
  std::iota(chosen.begin(), chosen.end(), first);
  if (!options.ids.empty()) keep_ids(dataset, options.ids, chosen);
  if (!options.labels.empty()) keep_labels(dataset, options.labels, chosen);
  if (chosen.empty()) throw UserError({.what = "no sample is left", .hint = "choose less strictly"});
  if (options.random) keep_random(*options.random, options.seed, chosen);
  return chosen;
}

void run(const SubsetOptions& options) {
  const Dataset dataset(options.rewrite.datasets);
  const std::vector<int64_t> chosen = choose(options, dataset);
  // The chosen numbers themselves, so that a run which goes on is known to choose the same.
  uint64_t digest = 0;
  for (const int64_t index : chosen) digest = digest * 0x9E3779B97F4A7C15U + static_cast<uint64_t>(index) + 1;
  fmt::print("{}\n", rewrite(options.rewrite, dataset, chosen, {{"samples", chosen.size()}, {"digest", digest}}));
}

}  // namespace

void add_subset(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("subset", "Stores some samples of a dataset; every condition given must hold.");
  const auto options = std::make_shared<SubsetOptions>();
  command->add_option("--ids", options->ids, "Only these ids, one a line")->type_name("FILE");
  command->add_option("--label", options->labels, "Only samples with this label; may be given several times")
      ->allow_extra_args(false);
  command->add_option("--first", options->first, "Only from this sample on, counted from 0");
  command->add_option("--last", options->last, "Only up to this sample");
  auto* random = command->add_option("--random", options->random, "So many of them, drawn at random");
  random->check(CLI::PositiveNumber);
  command->add_option("--seed", options->seed, "Which ones --random draws")->needs(random);
  add_rewrite_options(*command, options->rewrite);
  command->footer(
      "Samples keep their order.\n"
      "Example: capture_data subset data/train --random 10000 --seed 7 --output data/small");
  command->callback([options] { run(*options); });
}

}  // namespace capture
