// Small draws from a random stream that several parts of the synthetic world share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "capture/tensor/random.h"

namespace capture::synth {

/// Uniform in [0, 1), 53 bits.
inline double uniform(RandomStream& random) {
  const uint64_t high = random.next() >> 5;
  return static_cast<double>((high << 26) | (random.next() >> 6)) * 0x1.0p-53;
}

inline float between(RandomStream& random, float low, float high) {
  return low + (high - low) * random.uniform();
}

inline bool chance(RandomStream& random, float probability) {
  return random.uniform() < probability;
}

template <class T>
void shuffle(std::vector<T>& items, RandomStream& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(static_cast<uint32_t>(i))]);
}

/// Draws indices in proportion to weights.
class WeightedChoice {
 public:
  WeightedChoice() = default;
  /// Weights are at least 0, one of them more.
  explicit WeightedChoice(std::span<const double> weights) {
    double sum = 0;
    for (const double weight : weights) ends_.push_back(sum += weight);
  }

  size_t draw(RandomStream& random) const {
    const auto end = std::ranges::upper_bound(ends_, uniform(random) * ends_.back());
    return std::min(static_cast<size_t>(end - ends_.begin()), ends_.size() - 1);
  }

 private:
  std::vector<double> ends_;  // running sums of the weights
};

}  // namespace capture::synth
