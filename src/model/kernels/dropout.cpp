#include "dropout.h"

#include <vector>

#include "lanes.h"

namespace capture::kernels {

namespace {

/// Sixteen Philox4x32-10 blocks side by side; see capture/tensor/random.h for one.
CAPTURE_LANES void draw_block(const Dropout& dropout, uint64_t stream, int64_t block, float* factors) {
  Words c0{}, c1{}, c2{}, c3{};
  for (int lane = 0; lane < kLanes; ++lane) c0[lane] = static_cast<uint32_t>(block * kLanes + lane);
  c2 += static_cast<uint32_t>(stream);
  c3 += static_cast<uint32_t>(stream >> 32);
  auto k0 = static_cast<uint32_t>(dropout.key);
  auto k1 = static_cast<uint32_t>(dropout.key >> 32);
  for (int round = 0; round < 10; ++round) {
    Words low0, high0, low1, high1;
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0[lane];
      const uint64_t p1 = uint64_t{0xCD9E8D57} * c2[lane];
      low0[lane] = static_cast<uint32_t>(p0);
      high0[lane] = static_cast<uint32_t>(p0 >> 32);
      low1[lane] = static_cast<uint32_t>(p1);
      high1[lane] = static_cast<uint32_t>(p1 >> 32);
    }
    c0 = high1 ^ c1 ^ k0;
    c2 = high0 ^ c3 ^ k1;
    c1 = low1;
    c3 = low0;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  const Lanes kept = all(dropout.scale);
  for (const Words& words : {c0, c1, c2, c3}) {
    store(factors, (words & 0xffff) >= dropout.threshold ? kept : Lanes{});
    store(factors + kLanes, (words >> 16) >= dropout.threshold ? kept : Lanes{});
    factors += 2 * kLanes;
  }
}

template <class T>
CAPTURE_LANES void drop_rows_as(const Dropout& dropout, const int64_t* streams, int64_t first, int64_t last,
                                int64_t width, const T* x, T* y) {
  const int64_t blocks = rounded_up(width, kFactors) / kFactors;
  std::vector<float> factors(static_cast<size_t>(blocks * kFactors));
  for (int64_t row = first; row < last; ++row) {
    draw_factors(dropout, static_cast<uint64_t>(streams[row]), blocks, factors.data());
    const int64_t at = row * width;
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t rest = width - i;
      store_first(y + at + i, load_first(x + at + i, rest) * load(factors.data() + i), rest);
    }
  }
}

}  // namespace

CAPTURE_KERNEL void draw_factors(const Dropout& dropout, uint64_t stream, int64_t blocks, float* factors) {
  for (int64_t block = 0; block < blocks; ++block) draw_block(dropout, stream, block, factors + block * kFactors);
}

CAPTURE_KERNEL void drop_rows(const Dropout& dropout, const int64_t* streams, int64_t first, int64_t last,
                              int64_t width, const float* x, float* y) {
  drop_rows_as(dropout, streams, first, last, width, x, y);
}

CAPTURE_KERNEL void drop_rows(const Dropout& dropout, const int64_t* streams, int64_t first, int64_t last,
                              int64_t width, const BFloat16Bits* x, BFloat16Bits* y) {
  drop_rows_as(dropout, streams, first, last, width, x, y);
}

}  // namespace capture::kernels
