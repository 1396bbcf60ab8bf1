// Is a difference between two systems real? Paired statistics over the queries that both were asked, without LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace capture {

/// The same figures of the same queries by two systems: row-major [query][figure]. All values are finite.
struct PairedFigures {
  size_t figures = 0;          ///< columns
  std::vector<double> first;   ///< queries × figures
  std::vector<double> second;  ///< as many

  size_t queries() const { return figures == 0 ? 0 : first.size() / figures; }
};

struct PairedOptions {
  int64_t flips = 10000;      ///< random sign patterns of the test
  int64_t resamples = 10000;  ///< samples of queries, drawn with replacement, of the interval
  double confidence = 0.95;   ///< of the interval, between 0 and 1
  uint64_t seed = 1;          ///< same seed, same result, whatever the number of threads
  unsigned threads = 0;       ///< 0: all
};

/// One figure, second against first. A positive difference means that the second is higher.
struct PairedDifference {
  double first = 0;       ///< mean over the queries
  double second = 0;      ///< mean over the queries
  double difference = 0;  ///< second - first
  double low = 0;         ///< bootstrap interval of the difference: percentiles of the resampled means
  double high = 0;
  double p = 1;        ///< two-sided: how often swapping the systems' names at random gives a difference as large
  bool exact = false;  ///< p counts every pattern of swaps, instead of `flips` random ones
  int64_t won = 0;     ///< queries where the second is higher
  int64_t lost = 0;    ///< where the first is higher
  int64_t tied = 0;
};

/// One result a figure. Fisher's randomisation test, paired: where two systems are equally good, a query's two values
/// are as likely the other way round. It counts every pattern when at most 16 queries differ, else
/// p = (patterns at least as extreme + 1) / (flips + 1). (Smucker, Allan and Carterette, CIKM 2007, compare the tests.)
std::vector<PairedDifference> compare_paired(const PairedFigures& figures, const PairedOptions& options);

/// Holm's step-down adjustment: below 0.05, at most one wrong claim in 20 such families of tests.
std::vector<double> holm(std::span<const double> p);

/// Benjamini and Hochberg's adjustment: of the tests below 0.05, about one claim in 20 is wrong.
std::vector<double> benjamini_hochberg(std::span<const double> p);

/// The value below which the share `q` of the values lies, between neighbours in proportion. `values` must not be
/// empty; it is sorted.
double quantile(std::vector<double>& values, double q);

}  // namespace capture
