#include "capture/data/sampler.h"

#include <algorithm>
#include <cmath>

#include "capture/tensor/random.h"
#include "purpose.h"

namespace capture {

namespace {

constexpr uint32_t kRounds = 6;

RandomStream order_stream(uint64_t seed, uint64_t epoch) {
  return RandomStream(seed, epoch, 0, purpose::order);
}

}  // namespace

Permutation::Permutation(int64_t size, uint64_t seed, uint64_t epoch) : Permutation(size, order_stream(seed, epoch)) {}

Permutation::Permutation(int64_t size, RandomStream random) : size_(static_cast<uint64_t>(size)), half_bits_(0) {
  key_ = random.next();
  key_ = key_ << 32 | random.next();
  while (half_bits_ < 31 && uint64_t{1} << (2 * half_bits_) < size_) ++half_bits_;
}

int64_t Permutation::operator()(int64_t position) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  auto value = static_cast<uint64_t>(position);
  do {
    uint64_t left = value >> half_bits_;
    uint64_t right = value & mask;
    for (uint32_t round = 0; round < kRounds; ++round) {
      const uint64_t mixed = left ^ (philox(key_, right, round)[0] & mask);
      left = right;
      right = mixed;
    }
    value = left << half_bits_ | right;
  } while (value >= size_);
  return static_cast<int64_t>(value);
}

Sampler::Sampler(int64_t size, uint64_t seed, bool shuffle, int64_t rank, int64_t world_size, Remainder remainder)
    : samples_(size),
      seed_(seed),
      shuffle_(shuffle),
      rank_(rank),
      world_size_(world_size),
      share_((size + (remainder == Remainder::wrap ? world_size - 1 : 0)) / world_size) {}

int64_t Sampler::at_place(uint64_t epoch, int64_t place) const {
  const int64_t wrapped = place % samples_;
  return shuffle_ ? Permutation(samples_, seed_, epoch)(wrapped) : wrapped;
}

Mixture::Mixture(const std::vector<int64_t>& sizes, const std::vector<double>& weights, uint64_t seed) : seed_(seed) {
  int64_t samples = 0;
  int64_t places = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const double weight = weights.empty() ? 1.0 : weights[i];
    const int64_t shown = std::llround(weight * static_cast<double>(sizes[i]));
    parts_.push_back({samples, sizes[i], places, shown});
    samples += sizes[i];
    places += shown;
  }
}

SampleDraw Mixture::at(uint64_t epoch, int64_t place) const {
  const auto after = std::ranges::upper_bound(parts_, place, {}, &Part::first_place);
  const Part& part = *(after - 1);
  const int64_t copy = (place - part.first_place) / part.samples;
  int64_t sample = (place - part.first_place) % part.samples;
  // A round that does not reach every sample starts anywhere, so that no sample is always left out.
  if ((copy + 1) * part.samples > part.places) {
    RandomStream random(seed_, epoch, static_cast<uint64_t>(part.first_sample), purpose::round);
    sample = Permutation(part.samples, random)(sample);
  }
  return {part.first_sample + sample, copy};
}

}  // namespace capture
