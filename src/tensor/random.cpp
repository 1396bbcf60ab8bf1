#include "capture/tensor/random.h"

namespace capture {

namespace {

/// splitmix64's finaliser: neighbouring seeds and epochs give unrelated keys.
uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

}  // namespace

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  auto k0 = static_cast<uint32_t>(key);
  auto k1 = static_cast<uint32_t>(key >> 32);
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
                               static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

RandomStream::RandomStream(uint64_t seed, uint64_t epoch, uint64_t item, uint32_t purpose)
    : key_(mix(seed ^ mix(epoch ^ mix(purpose)))), high_(item) {}

uint32_t RandomStream::next() {
  if (used_ == 4) {
    block_ = philox(key_, low_++, high_);
    used_ = 0;
  }
  return block_[used_++];
}

float RandomStream::uniform() {
  return static_cast<float>(next() >> 8) * 0x1.0p-24F;
}

uint32_t RandomStream::below(uint32_t bound) {
  // Lemire's multiply-and-reject.
  uint64_t product = uint64_t{next()} * bound;
  if (static_cast<uint32_t>(product) < bound) {
    const uint32_t threshold = (0U - bound) % bound;
    while (static_cast<uint32_t>(product) < threshold) product = uint64_t{next()} * bound;
  }
  return static_cast<uint32_t>(product >> 32);
}

}  // namespace capture
