// float16 to float32 and back, eight at a time where the processor can, and what either may hold.
#pragma once

#include <cstddef>
#include <cstdint>

namespace capture {

/// out[i] = in[i].
void half_to_float(const uint16_t* in, float* out, size_t count);

/// out[i] = in[i] and sum[i] += in[i].
void half_to_float_and_add(const uint16_t* in, float* out, float* sum, size_t count);

/// Whether none is infinite or not a number.
bool all_finite(const uint16_t* halves, size_t count);
bool all_finite(const float* values, size_t count);

/// Rounds to nearest even; beyond ±65504 becomes infinite.
void float_to_half(const float* in, uint16_t* out, size_t count);

}  // namespace capture
