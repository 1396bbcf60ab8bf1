// libexec/capture_cuda_graphs.so: LibTorch's CUDA graphs, apart from everything else because they need LibTorch's CUDA
// library, which a run on CPUs never loads.
#include "open_graphs.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>

namespace {

class RecordedGraph final : public capture::RecordedWork {
 public:
  void repeat() override { graph_.replay(); }

  void record(c10::MempoolId_t pool, const std::function<void()>& work) {
    // What the loader's and the checkpoint writer's threads ask of CUDA meanwhile is no business of this recording.
    graph_.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      end_spoiled();
      throw;
    }
    graph_.capture_end();
  }

 private:
  /// What broke the recording is the better message.
  void end_spoiled() {
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {
    }
  }

  at::cuda::CUDAGraph graph_;
};

class CudaGraphs final : public capture::GraphBackend {
 public:
  explicit CudaGraphs(c10::Device device)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())),
        pool_(at::cuda::graph_pool_handle()) {}

  void rehearse(const std::function<void()>& work) override { beside(work); }

  std::unique_ptr<capture::RecordedWork> record(const std::function<void()>& work) override {
    auto graph = std::make_unique<RecordedGraph>();
    // Graphs take their memory from a pool of their own, which cannot use what rehearsals left in the common one. All
    // graphs share it: they run one after the other and leave nothing in it that anybody reads.
    c10::cuda::CUDACachingAllocator::emptyCache();
    beside([&] { graph->record(pool_, work); });
    return graph;
  }

 private:
  /// The default stream cannot be recorded. Rehearsals use the same one, whose workspaces are then there.
  void beside(const std::function<void()>& work) const {
    const auto current = c10::cuda::getCurrentCUDAStream(stream_.device_index());
    c10::Event before(c10::kCUDA), after(c10::kCUDA);
    before.record(current);
    before.block(stream_);
    {
      const c10::cuda::CUDAStreamGuard guard(stream_);
      work();
    }
    after.record(stream_);
    after.block(current);
  }

  c10::cuda::CUDAStream stream_;
  c10::MempoolId_t pool_;
};

}  // namespace

extern "C" void capture_open_graphs(c10::Device device, std::unique_ptr<capture::GraphBackend>& backend) {
  backend = std::make_unique<CudaGraphs>(device);
}
