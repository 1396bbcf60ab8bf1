// Sixteen float32 at a time: what the CPU kernels of this folder are written in. The compiler turns these vectors into
// the widest instructions of each processor that a kernel is compiled for. Torch stays out.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "numbers.h"

/// Helpers have no code of their own: they become part of each version of the kernel that calls them.
#define CAPTURE_LANES [[gnu::always_inline]] inline

/// Compiles a kernel for several processors; the program takes the best one that it can run.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define CAPTURE_KERNEL __attribute__((target_clones("avx512f", "fma", "default")))
#else
#define CAPTURE_KERNEL
#endif

namespace capture::kernels {

using Lanes [[gnu::vector_size(64)]] = float;
using Words [[gnu::vector_size(64)]] = uint32_t;
using HalfWords [[gnu::vector_size(32)]] = uint16_t;
using Eight [[gnu::vector_size(32)]] = float;
using Four [[gnu::vector_size(16)]] = float;

CAPTURE_LANES Lanes all(float value) {
  return Lanes{} + value;
}

CAPTURE_LANES Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

CAPTURE_LANES Lanes load(const BFloat16Bits* from) {
  HalfWords halves;
  std::memcpy(&halves, from, sizeof halves);
  const Words words = __builtin_convertvector(halves, Words) << 16;
  return std::bit_cast<Lanes>(words);
}

CAPTURE_LANES void store(float* to, Lanes lanes) {
  std::memcpy(to, &lanes, sizeof lanes);
}

/// Rounds to the nearest, halves to even; NaN stays NaN.
CAPTURE_LANES void store(BFloat16Bits* to, Lanes lanes) {
  const auto words = std::bit_cast<Words>(lanes);
  const Words rounded = (words + 0x7fff + ((words >> 16) & 1)) >> 16;
  const HalfWords halves = __builtin_convertvector(lanes == lanes ? rounded : Words{} + 0x7fc0, HalfWords);
  std::memcpy(to, &halves, sizeof halves);
}

/// The first `count` of sixteen; the others read as zero.
template <class T>
CAPTURE_LANES Lanes load_first(const T* from, int64_t count) {
  if (count >= kLanes) return load(from);
  std::array<T, kLanes> some{};
  std::memcpy(some.data(), from, static_cast<size_t>(count) * sizeof(T));
  return load(some.data());
}

template <class T>
CAPTURE_LANES void store_first(T* to, Lanes lanes, int64_t count) {
  if (count >= kLanes) return store(to, lanes);
  std::array<T, kLanes> some;
  store(some.data(), lanes);
  std::memcpy(to, some.data(), static_cast<size_t>(count) * sizeof(T));
}

/// The lanes past the first `count` become zero.
CAPTURE_LANES Lanes first(Lanes lanes, int64_t count) {
  for (int64_t i = count; i < kLanes; ++i) lanes[i] = 0;
  return lanes;
}

/// One half of a vector upon the other, until a number is left.
template <class Join>
CAPTURE_LANES float reduce(Lanes lanes, const Join& join) {
  std::array<Eight, 2> halves;
  std::memcpy(halves.data(), &lanes, sizeof lanes);
  const Eight eight = join(halves[0], halves[1]);
  std::array<Four, 2> quarters;
  std::memcpy(quarters.data(), &eight, sizeof eight);
  const Four four = join(quarters[0], quarters[1]);
  return join(join(four[0], four[2]), join(four[1], four[3]));
}

CAPTURE_LANES float sum(Lanes lanes) {
  return reduce(
      lanes, [](auto a, auto b) __attribute__((always_inline)) { return a + b; });
}

CAPTURE_LANES float largest(Lanes lanes) {
  return reduce(
      lanes, [](auto a, auto b) __attribute__((always_inline)) { return a > b ? a : b; });
}

/// Where either is NaN, b.
CAPTURE_LANES Lanes max(Lanes a, Lanes b) {
  return a > b ? a : b;
}

/// eˣ to about a unit in the last place for x ≤ 0; from −87 down it stays at e⁻⁸⁷, about 10⁻³⁸. NaN stays NaN.
CAPTURE_LANES Lanes exponential(Lanes x) {
  constexpr float kMagic = 0x1.8p23F;  // adding it rounds to a whole number and leaves that in the lowest bits
  x = max(all(-87.0F), x);
  const Lanes shifted = x * 1.44269504F + kMagic;
  const Lanes whole = shifted - kMagic;
  const Lanes rest = (x - whole * 0.693359375F) + whole * 2.12194440e-4F;
  Lanes value = all(1.0F / 720);
  for (const float factor : {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F}) value = value * rest + factor;
  const Words power = (std::bit_cast<Words>(shifted) + 127) << 23;
  return value * std::bit_cast<Lanes>(power);
}

}  // namespace capture::kernels
