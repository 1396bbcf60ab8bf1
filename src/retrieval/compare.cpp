#include "capture/retrieval/compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>
#include <thread>

namespace capture {

namespace {

constexpr size_t kExactQueries = 16;  // 65,536 patterns
/// Sums that are equal on paper may differ by rounding; relative to the sum of all sizes.
constexpr double kRounding = 1e-11;

/// Steele, Lea and Flood's SplitMix64: its n-th number is a function of the start alone, so that every pattern has a
/// stream of its own and threads can share the work in any way.
class Stream {
 public:
  Stream(uint64_t seed, uint64_t number) : state_(mix(seed + kStep) ^ mix(number + 2 * kStep)) {}

  uint64_t next() { return mix(state_ += kStep); }
  /// 0 to below - 1; below < 2^32.
  size_t index(size_t below) { return static_cast<size_t>(((next() >> 32) * below) >> 32); }

 private:
  static constexpr uint64_t kStep = 0x9E3779B97F4A7C15;

  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};

/// Differences of all queries, row-major [query][figure].
struct Differences {
  size_t queries;
  size_t figures;
  std::vector<double> values;

  const double* row(size_t query) const { return values.data() + query * figures; }
};

Differences differences_of(const PairedFigures& figures) {
  Differences all{figures.queries(), figures.figures, figures.second};
  for (size_t i = 0; i < all.values.size(); ++i) all.values[i] -= figures.first[i];
  return all;
}

void add(std::vector<double>& sums, const double* row, double times) {
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += times * row[i];
}

/// Every query's row, its sign drawn: the two systems' names swapped or not.
void flipped_sums(const Differences& all, Stream random, std::vector<double>& sums) {
  for (size_t begin = 0; begin < all.queries; begin += 64) {
    uint64_t bits = random.next();
    const size_t end = std::min(begin + 64, all.queries);
    for (size_t query = begin; query < end; ++query, bits >>= 1) add(sums, all.row(query), bits & 1 ? 1.0 : -1.0);
  }
}

void resampled_sums(const Differences& all, Stream random, std::vector<double>& sums) {
  for (size_t i = 0; i < all.queries; ++i) add(sums, all.row(random.index(all.queries)), 1.0);
}

using Sum = std::function<void(const Differences&, Stream, std::vector<double>&)>;

/// `count` sums of every figure, as [figure][number]. Streams of tests and samples differ by `purpose`.
std::vector<std::vector<double>> draw(const Differences& all, int64_t count, uint64_t seed, uint64_t purpose,
                                      unsigned threads, const Sum& sum) {
  const auto total = static_cast<size_t>(count);
  std::vector<std::vector<double>> drawn(all.figures, std::vector<double>(total));
  const auto work = [&](size_t begin, size_t end) {
    std::vector<double> sums(all.figures);
    for (size_t number = begin; number < end; ++number) {
      std::fill(sums.begin(), sums.end(), 0.0);
      sum(all, Stream(seed, 2 * number + purpose), sums);
      for (size_t i = 0; i < all.figures; ++i) drawn[i][number] = sums[i];
    }
  };
  // A few queries are done before a thread has started.
  const bool small = all.values.size() * total < (size_t{1} << 20);
  const size_t workers = small ? 1 : std::max(1U, threads == 0 ? std::thread::hardware_concurrency() : threads);
  std::vector<std::jthread> others;
  for (size_t i = 1; i < workers; ++i) {
    others.emplace_back([&work, i, workers, total] { work(total * i / workers, total * (i + 1) / workers); });
  }
  work(0, total / workers);
  return drawn;
}

/// Both tails over all 2^n sign patterns, each one flip from the last (Gray code).
double exact_p(const std::vector<double>& differences) {
  const double observed = std::abs(std::accumulate(differences.begin(), differences.end(), 0.0));
  double sum = 0;
  double size = 0;
  for (const double difference : differences) {
    sum -= difference;
    size += std::abs(difference);
  }
  std::vector<bool> positive(differences.size());
  const double bound = observed - kRounding * size;
  const uint64_t patterns = uint64_t{1} << differences.size();
  uint64_t extreme = 0;
  for (uint64_t i = 1;; ++i) {
    if (std::abs(sum) >= bound) ++extreme;
    if (i == patterns) break;
    const auto flip = static_cast<size_t>(std::countr_zero(i));
    sum += (positive[flip] ? -2 : 2) * differences[flip];
    positive[flip] = !positive[flip];
  }
  return static_cast<double>(extreme) / static_cast<double>(patterns);
}

double random_p(const std::vector<double>& flipped, double observed, double size) {
  const double bound = std::abs(observed) - kRounding * size;
  const auto extreme =
      std::count_if(flipped.begin(), flipped.end(), [&](double sum) { return std::abs(sum) >= bound; });
  return static_cast<double>(extreme + 1) / static_cast<double>(flipped.size() + 1);
}

/// Means and counts of one figure.
PairedDifference summary(const PairedFigures& figures, size_t figure) {
  PairedDifference result;
  const size_t queries = figures.queries();
  for (size_t query = 0; query < queries; ++query) {
    const double first = figures.first[query * figures.figures + figure];
    const double second = figures.second[query * figures.figures + figure];
    result.first += first;
    result.second += second;
    ++(second > first ? result.won : second < first ? result.lost : result.tied);
  }
  result.first /= static_cast<double>(queries);
  result.second /= static_cast<double>(queries);
  result.difference = result.second - result.first;
  return result;
}

/// The figure's differences that are not 0: the others change no sum.
std::vector<double> changed(const Differences& all, size_t figure) {
  std::vector<double> values;
  for (size_t query = 0; query < all.queries; ++query) {
    if (const double value = all.row(query)[figure]; value != 0) values.push_back(value);
  }
  return values;
}

}  // namespace

std::vector<PairedDifference> compare_paired(const PairedFigures& figures, const PairedOptions& options) {
  const Differences all = differences_of(figures);
  std::vector<PairedDifference> results;
  if (all.queries == 0) return results;
  auto means = draw(all, options.resamples, options.seed, 0, options.threads, resampled_sums);
  std::vector<std::vector<double>> flipped;
  for (size_t figure = 0; figure < all.figures; ++figure) {
    PairedDifference result = summary(figures, figure);
    const std::vector<double> values = changed(all, figure);
    result.exact = values.size() <= kExactQueries;
    if (result.exact) {
      result.p = exact_p(values);
    } else {
      if (flipped.empty()) flipped = draw(all, options.flips, options.seed, 1, options.threads, flipped_sums);
      double size = 0;
      for (const double value : values) size += std::abs(value);
      result.p = random_p(flipped[figure], std::accumulate(values.begin(), values.end(), 0.0), size);
    }
    const double tail = (1 - options.confidence) / 2;
    result.low = quantile(means[figure], tail) / static_cast<double>(all.queries);
    result.high = quantile(means[figure], 1 - tail) / static_cast<double>(all.queries);
    results.push_back(result);
  }
  return results;
}

namespace {

/// Indices of the tests, smallest p first.
std::vector<size_t> ascending(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  return order;
}

}  // namespace

std::vector<double> holm(std::span<const double> p) {
  const std::vector<size_t> order = ascending(p);
  std::vector<double> adjusted(p.size());
  double highest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    highest = std::max(highest, std::min(1.0, static_cast<double>(p.size() - rank) * p[order[rank]]));
    adjusted[order[rank]] = highest;
  }
  return adjusted;
}

std::vector<double> benjamini_hochberg(std::span<const double> p) {
  const std::vector<size_t> order = ascending(p);
  std::vector<double> adjusted(p.size());
  double lowest = 1;
  for (size_t rank = order.size(); rank-- > 0;) {
    lowest = std::min(lowest, static_cast<double>(p.size()) / static_cast<double>(rank + 1) * p[order[rank]]);
    adjusted[order[rank]] = lowest;
  }
  return adjusted;
}

double quantile(std::vector<double>& values, double q) {
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace capture
