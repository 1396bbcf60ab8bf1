// Features from a shard into a batch: the copy that a loader spends its time on.
#pragma once

#include <cstdint>

#include "capture/data/sample_view.h"

namespace capture {

/// Widens a region's feature into out[0, D) and adds it to sum[0, D), as RegionsView::copy_feature_and_add does and
/// with the same bits. `past_caches`: the batch is so large that what is written will have left the caches before it is
/// read; writing it past them spares a read of the memory underneath. finish_copies() must follow before another thread
/// reads `out`.
void copy_and_add(const RegionsView& view, int64_t region, float* out, float* sum, bool past_caches);

/// Makes what copy_and_add() wrote past the caches visible to whoever is told of it afterwards.
void finish_copies();

}  // namespace capture
