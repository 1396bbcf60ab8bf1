#include "capture/train/graph_backend.h"

#include <string>

#include "capture/base/error.h"
#include "capture/tensor/device.h"
#include "with_cuda/open_graphs.h"

namespace capture {

std::unique_ptr<GraphBackend> open_cuda_graphs(at::Device device) {
  std::string reason;
  void* const found = cuda_function("capture_cuda_graphs.so", "capture_open_graphs", reason);
  if (found == nullptr) {
    throw UserError({.what = "this build has no CUDA graphs: " + reason,
                     .where = "trainer.cuda_graph",
                     .allowed = "false",
                     .hint = "run tools/setup, which fetches CUDA's headers, and build again"});
  }
  std::unique_ptr<GraphBackend> backend;
  reinterpret_cast<decltype(&capture_open_graphs)>(found)(device, backend);
  return backend;
}

}  // namespace capture
