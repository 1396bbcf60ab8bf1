// Starting weights.
#pragma once

#include <cstdint>

#include "capture/model/hybrid_stream.h"

namespace capture {

/// Draws every weight anew: normal with deviation options().initializer_range, biases 0, LayerNorms 1 and 0; the
/// co-transformer's matrices by options().co_initialisation, scaled meaning W^-½ into attention, (2W)^-½ into the MLP,
/// and W^-½·(2·layers)^-½ out of both. Each parameter has a random stream of its own, keyed by the seed and its name,
/// so that models which differ in one part start alike in the others.
void initialise(HybridStreamModelImpl& model, uint64_t seed);

}  // namespace capture
