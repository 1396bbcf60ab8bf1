#include "projection.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>

#include "capture/tensor/random.h"

namespace capture {

namespace {

void walsh_hadamard(std::span<float> values) {
  for (size_t half = 1; half < values.size(); half *= 2) {
    for (size_t block = 0; block < values.size(); block += 2 * half) {
      for (size_t i = block; i < block + half; ++i) {
        const float a = values[i];
        const float b = values[i + half];
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
}

}  // namespace

Projection::Projection(int64_t from, int64_t to, int64_t seed) : from_(from), to_(to) {
  if (to >= from) return;
  const size_t size = std::bit_ceil(static_cast<size_t>(from));
  RandomStream random(static_cast<uint64_t>(seed), 0, 0);
  signs_.resize(static_cast<size_t>(from));
  for (float& sign : signs_) sign = random.below(2) == 0 ? 1.0F : -1.0F;
  chosen_.resize(size);
  std::iota(chosen_.begin(), chosen_.end(), 0);
  // The first `to` steps of a Fisher-Yates shuffle.
  for (size_t i = 0; i < static_cast<size_t>(to); ++i) {
    std::swap(chosen_[i], chosen_[i + random.below(static_cast<uint32_t>(size - i))]);
  }
  chosen_.resize(static_cast<size_t>(to));
}

void Projection::apply(std::span<const float> input, std::span<float> output) const {
  if (chosen_.empty()) {
    std::ranges::copy(input, output.begin());
    std::ranges::fill(output.subspan(input.size()), 0.0F);
    return;
  }
  std::vector<float> values(std::bit_ceil(static_cast<size_t>(from_)), 0.0F);
  std::ranges::transform(input, signs_, values.begin(), std::multiplies<>());
  walsh_hadamard(values);
  // The transform itself multiplies squared lengths by its size, of which a share of to / size is kept.
  const float scale = 1 / std::sqrt(static_cast<float>(to_));
  for (size_t i = 0; i < chosen_.size(); ++i) output[i] = values[static_cast<size_t>(chosen_[i])] * scale;
}

}  // namespace capture
