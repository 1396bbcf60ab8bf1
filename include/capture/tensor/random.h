// Counter-based random streams: a value depends on its key and position alone, never on who drew before it.
#pragma once

#include <array>
#include <cstdint>

namespace capture {

/// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): 128 bits for a 64-bit key and
/// a 128-bit counter.
std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high);

/// A stream of its own for each (seed, epoch, item): masks drawn from it depend on neither workers nor batches nor
/// ranks. `purpose` separates streams that serve different ends on the same item.
class RandomStream {
 public:
  RandomStream(uint64_t seed, uint64_t epoch, uint64_t item, uint32_t purpose = 0);

  uint32_t next();
  /// Uniform in [0, 1), 24 bits.
  float uniform();
  /// Uniform in [0, bound) without bias; bound must be positive.
  uint32_t below(uint32_t bound);

 private:
  uint64_t key_;
  uint64_t high_;
  uint64_t low_ = 0;
  std::array<uint32_t, 4> block_{};
  uint32_t used_ = 4;
};

}  // namespace capture
