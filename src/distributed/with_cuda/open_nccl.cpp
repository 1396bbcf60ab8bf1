// libexec/capture_nccl.so: NCCL, apart from everything else because it needs LibTorch's CUDA library, which a run on
// CPUs never loads.
#include "open_nccl.h"

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

extern "C" void capture_open_nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size,
                                  std::chrono::milliseconds timeout, c10::intrusive_ptr<c10d::Backend>& channel) {
  // Gradients overtake the products that are still computed.
  auto options = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/true);
  options->timeout = timeout;
  channel = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, world_size, std::move(options));
}
