#include "dataset_stats.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "capture/base/in_order.h"

namespace capture {

namespace {

int64_t code_points(std::string_view utf8) {
  return std::ranges::count_if(utf8, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; });
}

std::vector<LabelCount> sorted(const std::unordered_map<std::string, int64_t>& counts) {
  std::vector<LabelCount> all;
  for (const auto& [label, samples] : counts) all.push_back({label, samples});
  std::ranges::sort(all, [](const LabelCount& a, const LabelCount& b) {
    return a.samples != b.samples ? a.samples > b.samples : a.label < b.label;
  });
  return all;
}

/// What one thread counted.
struct Counts {
  DatasetStats stats = {};
  std::unordered_map<std::string, int64_t> labels = {};
  int64_t tokens = 0;
  int64_t unknown = 0;
};

void count_titles(const SampleView& sample, const Tokenizer* tokenizer, std::vector<int32_t>& ids, Counts& counts) {
  for (int64_t t = 0; t < sample.title_count(); ++t) {
    const std::string_view title = sample.title(t);
    counts.stats.characters.add(code_points(title));
    counts.stats.empty_titles += title.empty() ? 1 : 0;
    if (tokenizer != nullptr) {
      ids.clear();
      tokenizer->append(title, ids);
      counts.stats.tokens.add(std::ssize(ids));
      counts.tokens += std::ssize(ids);
      counts.unknown += std::ranges::count(ids, tokenizer->specials().unknown);
    } else if (const auto stored = sample.token_ids(t)) {
      counts.stats.tokens.add(stored->size());
    }
  }
}

Counts count_samples(const Dataset& dataset, int64_t first, int64_t end, const Tokenizer* tokenizer) {
  Counts counts;
  std::vector<int32_t> ids;
  for (int64_t i = first; i < end; ++i) {
    const SampleView sample = dataset.sample(i);
    count_titles(sample, tokenizer, ids, counts);
    counts.stats.views.add(sample.view_count());
    for (int64_t v = 0; v < sample.view_count(); ++v) counts.stats.regions.add(sample.regions(v).count);
    const auto listed = sample.labels();
    counts.stats.labels.add(std::ssize(listed));
    for (const std::string_view label : listed) ++counts.labels[std::string(label)];
  }
  return counts;
}

void add(const Counts& part, Counts& all) {
  all.stats.empty_titles += part.stats.empty_titles;
  for (Histogram DatasetStats::*const histogram :
       {&DatasetStats::characters, &DatasetStats::tokens, &DatasetStats::regions, &DatasetStats::views,
        &DatasetStats::labels}) {
    (all.stats.*histogram).add(part.stats.*histogram);
  }
  for (const auto& [label, samples] : part.labels) all.labels[label] += samples;
  all.tokens += part.tokens;
  all.unknown += part.unknown;
}

}  // namespace

int64_t Histogram::quantile(double share) const {
  int64_t seen = 0;
  for (const auto& [value, count] : counts_) {
    seen += count;
    if (static_cast<double>(seen) >= share * static_cast<double>(total_)) return value;
  }
  return 0;
}

DatasetStats count(const Dataset& dataset, const Tokenizer* tokenizer, int64_t threads,
                   const std::function<void(int64_t)>& progress) {
  constexpr int64_t kStep = 1000;
  Counts all;
  in_order(
      static_cast<size_t>((dataset.size() + kStep - 1) / kStep), static_cast<size_t>(threads),
      [&](size_t i) {
        const int64_t first = static_cast<int64_t>(i) * kStep;
        return count_samples(dataset, first, std::min(first + kStep, dataset.size()), tokenizer);
      },
      [&](size_t i, const Counts& part) {
        add(part, all);
        if (progress) progress(std::min(static_cast<int64_t>(i + 1) * kStep, dataset.size()));
      });
  DatasetStats stats = std::move(all.stats);
  stats.samples = dataset.size();
  if (all.tokens > 0) stats.unknown = static_cast<double>(all.unknown) / static_cast<double>(all.tokens);
  stats.label_counts = sorted(all.labels);
  return stats;
}

}  // namespace capture
