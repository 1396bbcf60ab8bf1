// Copies of what nobody reads soon.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace capture {

/// As memcpy, but past the caches: the processor does not read what it overwrites first, and drives out nothing. Other
/// threads see it after stream_fence().
inline void stream_copy(std::byte* to, const std::byte* from, size_t bytes) {
#ifdef __SSE2__
  constexpr size_t kVector = sizeof(__m128i);
  const size_t before = std::min((kVector - reinterpret_cast<uintptr_t>(to) % kVector) % kVector, bytes);
  std::memcpy(to, from, before);
  size_t i = before;
  for (; i + kVector <= bytes; i += kVector) {
    const __m128i vector = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), vector);
  }
  std::memcpy(to + i, from + i, bytes - i);
#else
  std::memcpy(to, from, bytes);
#endif
}

inline void stream_fence() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

}  // namespace capture
