// c10d::Reducer, the engine of LibTorch's DistributedDataParallel, as a GradientReducer.
#pragma once

#include "capture/distributed/gradient_reducer.h"

namespace capture {

std::unique_ptr<GradientReducer> make_c10d_reducer(const ProcessGroup& group, const std::vector<at::Tensor>& parameters,
                                                   const DistributedOptions& options);

}  // namespace capture
