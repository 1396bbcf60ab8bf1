// Features as whole numbers of 8 bits under one scale a region.
#pragma once

#include <cstddef>
#include <cstdint>

namespace capture {

/// out[i] = in[i] / scale, rounded to nearest even, where scale = max |in[i]| / 127, which is returned. The same bytes
/// on every processor. Not a number when one of `in` is; 0 when all are so small that no scale can be told from 0.
float quantise(const float* in, int8_t* out, size_t count);

/// out[i] = in[i] · scale.
void int8_to_float(const int8_t* in, float scale, float* out, size_t count);

/// out[i] = in[i] · scale and sum[i] += out[i].
void int8_to_float_and_add(const int8_t* in, float scale, float* out, float* sum, size_t count);

}  // namespace capture
