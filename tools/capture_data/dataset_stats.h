// What can be counted in a dataset.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/data/dataset.h"
#include "capture/text/tokenizer.h"

namespace capture {

/// How often each whole number was seen.
class Histogram {
 public:
  void add(int64_t value) {
    ++counts_[value];
    ++total_;
    sum_ += value;
  }
  void add(const Histogram& other) {
    for (const auto& [value, count] : other.counts_) counts_[value] += count;
    total_ += other.total_;
    sum_ += other.sum_;
  }

  int64_t total() const { return total_; }
  double mean() const { return total_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(total_); }
  /// The smallest value that at least this share of all values does not exceed; 0 when there is none.
  int64_t quantile(double share) const;
  const std::map<int64_t, int64_t>& counts() const { return counts_; }

 private:
  std::map<int64_t, int64_t> counts_;
  int64_t total_ = 0;
  int64_t sum_ = 0;
};

struct LabelCount {
  std::string label;
  int64_t samples;  ///< listings, so that a label listed twice by a sample counts twice
};

struct DatasetStats {
  int64_t samples = 0;
  int64_t empty_titles = 0;
  Histogram characters;  ///< code points of each title
  Histogram tokens;      ///< of each title, [CLS] and [SEP] not counted; empty without a tokenizer or stored ids
  double unknown = -1;   ///< share of tokens that the vocabulary does not know; -1 without a tokenizer
  Histogram regions;     ///< of each view
  Histogram views;       ///< of each sample
  Histogram labels;      ///< of each sample, as listed
  std::vector<LabelCount> label_counts;  ///< most frequent first, then by name
};

/// Reads every record and text once, no features, on so many threads. `tokenizer` may be null: then stored token ids
/// are counted. `progress` is told the number of samples done.
DatasetStats count(const Dataset& dataset, const Tokenizer* tokenizer, int64_t threads,
                   const std::function<void(int64_t)>& progress);

}  // namespace capture
