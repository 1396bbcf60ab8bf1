// Brings a feature to a given width without learning: room to spare is filled with zeros, and too little of it by a
// random projection, which keeps distances nearly as they were (Johnson and Lindenstrauss).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace capture {

/// From `from` numbers to `to`. When to >= from: the input, then zeros. Otherwise a subsampled randomised Hadamard
/// transform (Ailon and Chazelle, "The Fast Johnson-Lindenstrauss Transform", 2009): signs drawn from `seed`, the
/// Walsh-Hadamard transform of the input padded to a power of two, and `to` of its entries drawn without replacement,
/// scaled so that squared lengths are kept on average.
class Projection {
 public:
  Projection(int64_t from, int64_t to, int64_t seed);

  int64_t width() const { return to_; }
  void apply(std::span<const float> input, std::span<float> output) const;

 private:
  int64_t from_;
  int64_t to_;
  std::vector<float> signs_;     // empty when nothing is projected
  std::vector<int32_t> chosen_;  // the transform's entries that are kept
};

}  // namespace capture
