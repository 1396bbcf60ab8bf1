// NumPy's file for one array (.npy): a magic word, a header that is a Python dictionary, the numbers in C order.
// Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

namespace capture {

/// Writes a tensor of any device and strides, all or nothing: version 1.0, little-endian, data at a multiple of 64
/// bytes. float64, float32, float16, int64, int32, int16, int8 or uint8; an internal error for another type.
void write_npy(const std::filesystem::path& path, const at::Tensor& tensor);

/// Reads an array of these types, of version 1.0, 2.0 or 3.0, little-endian, in C or Fortran order. UserError naming
/// the file when it is anything else, or its size is not what the header says.
at::Tensor read_npy(const std::filesystem::path& path);

}  // namespace capture
