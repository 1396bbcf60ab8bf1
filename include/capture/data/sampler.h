// In which order samples are seen: a pure function of seed, epoch, rank and position, so that any process can start
// anywhere without replaying what came before.
#pragma once

#include <cstdint>
#include <vector>

namespace capture {

class RandomStream;

/// A permutation of [0, size) in constant memory: a Feistel network over the next power of four, walked until it lands
/// inside (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002).
class Permutation {
 public:
  Permutation(int64_t size, uint64_t seed, uint64_t epoch);
  /// The permutation that the stream's next numbers choose.
  Permutation(int64_t size, RandomStream random);

  /// 0 <= position < size. Constant expected time.
  int64_t operator()(int64_t position) const;

 private:
  uint64_t size_;
  uint64_t key_;
  uint32_t half_bits_;
};

/// How an epoch is divided among ranks when the number of samples is no multiple of them.
enum class Remainder {
  wrap,  ///< every sample is seen; the epoch's first ones stand in, and count nothing, so that shares are equal
  drop   ///< the last few of the epoch's order are left out
};

/// Deals the epoch's order to the ranks in turn: rank r of W gets positions r, r + W, r + 2W, … so that step k of all
/// ranks together covers the same samples whatever W is, as long as the global batch is the same.
class Sampler {
 public:
  /// size >= 1, 0 <= rank < world_size.
  Sampler(int64_t size, uint64_t seed, bool shuffle, int64_t rank = 0, int64_t world_size = 1,
          Remainder remainder = Remainder::wrap);

  /// Samples of this rank in an epoch; the same for every rank.
  int64_t size() const { return share_; }

  /// The index of the sample that this rank sees at `position` of `epoch`; 0 <= position < size().
  int64_t at(uint64_t epoch, int64_t position) const { return at_place(epoch, position * world_size_ + rank_); }

  /// The index of the sample at a place of the whole epoch, which all ranks share: position p of rank r is place
  /// p * W + r. A place behind the last sample is that of a stand-in.
  int64_t at_place(uint64_t epoch, int64_t place) const;

 private:
  int64_t samples_;
  uint64_t seed_;
  bool shuffle_;
  int64_t rank_;
  int64_t world_size_;
  int64_t share_;
};

/// A sample as an epoch shows it: the `copy`-th time, from 0.
struct SampleDraw {
  int64_t sample;
  int64_t copy;

  bool operator==(const SampleDraw&) const = default;
};

/// Several datasets as one, each shown as often as its weight says: with weight 2.5 every sample stands in an epoch
/// twice, and half of them, other ones each epoch, a third time. A pure function of seed, epoch and place, in memory
/// that does not grow with the samples.
class Mixture {
 public:
  /// `sizes`: samples of each part, numbered through. `weights`: one a part, not negative; none: each sample once.
  Mixture(const std::vector<int64_t>& sizes, const std::vector<double>& weights, uint64_t seed);

  /// Places in an epoch; may be 0.
  int64_t size() const { return parts_.back().first_place + parts_.back().places; }

  /// What stands at a place, 0 <= place < size(). Places are in the order of the parts: a Sampler shuffles them.
  SampleDraw at(uint64_t epoch, int64_t place) const;

 private:
  struct Part {
    int64_t first_sample, samples;
    int64_t first_place, places;
  };
  std::vector<Part> parts_;
  uint64_t seed_;
};

}  // namespace capture
