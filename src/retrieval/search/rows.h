// Vectors in a tensor of any floating type, read a few at a time as float32 on the processor.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace capture {

class FloatRows {
 public:
  /// `rows` [N, E], on any device. Contiguous float32 on the processor is read where it lies, memory maps too.
  explicit FloatRows(at::Tensor rows);

  int64_t count() const { return rows_.size(0); }
  int64_t width() const { return rows_.size(1); }

  /// Rows [begin, end), one after the other: they stay until `buffer` is used again.
  const float* read(int64_t begin, int64_t end, at::Tensor& buffer) const;

 private:
  at::Tensor rows_;
  const float* in_place_ = nullptr;
};

/// The error of a vector that holds NaN or an infinite value.
[[noreturn]] void throw_not_finite(const std::string& vector);

}  // namespace capture
