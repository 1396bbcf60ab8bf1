// How the rows of a packed batch come together in the co-transformer.
#pragma once

#include <ATen/core/Tensor.h>

namespace capture {

/// More than a pair can have rows, or a layer heads.
inline constexpr int64_t kStreamsOfAPair = 1 << 16;

/// Each int64 on the CPU. "All rows" are the tokens of all pairs and, behind them, the regions of all pairs; in the
/// joint sequences a pair's regions stand behind its own tokens.
struct JointOrder {
  at::Tensor token_places;   ///< [tokens]: which token of its pair
  at::Tensor region_places;  ///< [regions]
  at::Tensor sources;        ///< [all]: joint row → place among all rows
  at::Tensor targets;        ///< [all]: the other way round
  at::Tensor streams;        ///< [all]: which stream dropout of a joint row reads (see Sequences)
};

/// From the starts of a PackedBatch, [B + 1] int32 each, and its items, [B] int64 or undefined.
JointOrder joint_order(const at::Tensor& text_starts, const at::Tensor& region_starts, const at::Tensor& items);

/// Row i of the result is row sources[i] of `rows`; `targets` is the inverse permutation, by which gradients come back.
at::Tensor reorder_rows(const at::Tensor& rows, const at::Tensor& sources, const at::Tensor& targets);

}  // namespace capture
