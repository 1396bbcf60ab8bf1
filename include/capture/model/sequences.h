// Where the sequences of a batch lie in a tensor of rows. Every layer but attention works row by row and does not care.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace capture {

/// B sequences in [rows, width], in one of two forms.
/// - Padded: B · N rows, sequence b from row b · N on, short ones filled up. Attention hides the filling by `bias`.
///   LibTorch's operations alone: the plain form that the other is held against.
/// - Packed: one sequence behind the other, none filled up. On the CPU with kernels of our own, elsewhere, and where
///   tests ask for it, with LibTorch's operations.
struct Sequences {
  int64_t count = 0;       ///< B
  int64_t longest = 0;     ///< N, rows of the longest one
  at::Tensor bias = {};    ///< padded: [B, 1, 1, N], see padding_bias(); undefined where nothing is filled up
  at::Tensor starts = {};  ///< packed: [B + 1] int32: sequence b is rows starts[b] to starts[b + 1]

  /// packed, for kernels of our own: [rows] int64, the random stream that dropout of each row reads; the rows of a pair
  /// have streams one behind the other, and no two pairs have one in common. Without dropout nobody reads them.
  at::Tensor streams = {};

  bool packed() const { return starts.defined(); }
};

/// Padded rows [B · N, width] as [B, N, width].
at::Tensor by_sequence(const at::Tensor& rows, const Sequences& sequences);

/// The first row of each sequence: [rows, width], whose rows may lie apart → [B, width].
at::Tensor first_of_each(const at::Tensor& rows, const Sequences& sequences);

/// Where those rows lie: sequences of one row.
Sequences firsts_of(const Sequences& sequences);

}  // namespace capture
