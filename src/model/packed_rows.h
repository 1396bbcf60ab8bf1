// How the rows of a packed batch come together in the co-transformer.
#pragma once

#include <ATen/core/Tensor.h>

namespace capture {

/// More than a pair can have rows, or a layer heads.
inline constexpr int64_t kStreamsOfAPair = 1 << 16;

/// Each int64. "All rows" are the tokens of all pairs and, behind them, the regions of all pairs; in the
/// joint sequences a pair's regions stand behind its own tokens.
struct JointOrder {
  at::Tensor token_places;   ///< [tokens]: which token of its pair
  at::Tensor region_places;  ///< [regions]
  at::Tensor sources;        ///< [all]: joint row → place among all rows
  at::Tensor targets;        ///< [all]: the other way round
  at::Tensor streams = {};   ///< [all]: which stream dropout of a joint row reads (see Sequences)
};

/// From the starts of a PackedBatch, [B + 1] int32 each, and its items, [B] int64 or undefined; all on the CPU.
JointOrder joint_order(const at::Tensor& text_starts, const at::Tensor& region_starts, const at::Tensor& items);

/// The same, without streams, on whatever device the starts are. The numbers of rows are given, so that nobody asks it.
JointOrder joint_order_by_operations(const at::Tensor& text_starts, int64_t tokens, const at::Tensor& region_starts,
                                     int64_t regions);

/// Which sequence each of the packed rows belongs to, and which of its rows it is: [rows] int64 each.
struct RowPlaces {
  at::Tensor sequences;
  at::Tensor places;
};
RowPlaces places_of(const at::Tensor& starts, int64_t rows);

/// Row i of the result is row sources[i] of `rows`; `targets` is the inverse permutation, by which gradients come back.
at::Tensor reorder_rows(const at::Tensor& rows, const at::Tensor& sources, const at::Tensor& targets);

}  // namespace capture
