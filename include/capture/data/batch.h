// What a loader hands over.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "capture/tensor/pair_batch.h"

namespace capture {

struct Batch {
  PairBatch inputs;
  std::optional<PackedBatch> packed;  ///< instead of the inputs, whose tensors are then undefined, where asked for
  MaskedTargets targets;              ///< empty rows when the loader does not mask
  std::vector<int64_t> samples;       ///< dataset indices, in the order of the rows
  /// Pairs that count, of this batch on all ranks together; -1: every one. Ranks have equally many rows, so an epoch's
  /// last batch may end with a stand-in, of which nothing is predicted: row i of rank r of W is one when
  /// i * W + r >= pairs.
  int64_t pairs = -1;
  int64_t epoch = 0;
  int64_t index = 0;  ///< the batch's number in its epoch, on this rank
};

}  // namespace capture
