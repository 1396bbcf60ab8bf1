#include "dataset_stats.h"

#include <algorithm>
#include <unordered_map>

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

}  // namespace

int64_t Histogram::quantile(double share) const {
  int64_t seen = 0;
  for (const auto& [value, count] : counts_) {
    seen += count;
    if (static_cast<double>(seen) >= share * static_cast<double>(total_)) return value;
  }
  return 0;
}

DatasetStats count(const Dataset& dataset, const Tokenizer* tokenizer, const std::function<void(int64_t)>& progress) {
  DatasetStats stats;
  stats.samples = dataset.size();
  std::unordered_map<std::string, int64_t> labels;
  std::vector<int32_t> ids;
  int64_t tokens = 0;
  int64_t unknown = 0;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const SampleView sample = dataset.sample(i);
    for (int64_t t = 0; t < sample.title_count(); ++t) {
      const std::string_view title = sample.title(t);
      stats.characters.add(code_points(title));
      stats.empty_titles += title.empty() ? 1 : 0;
      if (tokenizer != nullptr) {
        ids.clear();
        tokenizer->append(title, ids);
        stats.tokens.add(std::ssize(ids));
        tokens += std::ssize(ids);
        unknown += std::ranges::count(ids, tokenizer->specials().unknown);
      } else if (const auto stored = sample.token_ids(t)) {
        stats.tokens.add(stored->size());
      }
    }
    stats.views.add(sample.view_count());
    for (int64_t v = 0; v < sample.view_count(); ++v) stats.regions.add(sample.regions(v).count);
    const auto listed = sample.labels();
    stats.labels.add(std::ssize(listed));
    for (const std::string_view label : listed) ++labels[std::string(label)];
    if (progress) progress(i + 1);
  }
  if (tokens > 0) stats.unknown = static_cast<double>(unknown) / static_cast<double>(tokens);
  stats.label_counts = sorted(labels);
  return stats;
}

}  // namespace capture
