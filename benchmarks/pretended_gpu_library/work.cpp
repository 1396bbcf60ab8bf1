// Streams, events, graphs and kernels: the functions of CUDA's runtime whose answers or streams matter.
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "device.h"

using namespace pretended;

namespace {

/// Streams, events and graphs are only ever compared; none is nullptr, which is the default stream.
template <class Handle>
Handle fresh_handle() {
  static std::atomic<uintptr_t> latest{0x1000};
  return reinterpret_cast<Handle>(latest += 16);
}

/// What CUDA gives back for a launch of nothing.
cudaError_t launch_kernel(dim3 blocks, dim3 threads, cudaStream_t stream) {
  launched("kernel", stream);
  const bool empty = blocks.x == 0 || blocks.y == 0 || blocks.z == 0 || threads.x == 0;
  return empty ? failed(cudaErrorInvalidConfiguration) : cudaSuccess;
}

struct Launch {
  dim3 blocks, threads;
  size_t shared_bytes;
  cudaStream_t stream;
};

thread_local std::vector<Launch> configured;

}  // namespace

extern "C" {

// -- streams and events --------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  needs_context("cudaStreamCreateWithPriority");
  *stream = fresh_handle<cudaStream_t>();
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  waited("cudaStreamSynchronize");
  return forbidden_on_recorded("cudaStreamSynchronize", stream);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return forbidden_on_recorded("cudaStreamQuery", stream);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  needs_context("cudaEventCreate");
  *event = fresh_handle<cudaEvent_t>();
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, 0);
}

cudaError_t cudaEventQuery(cudaEvent_t) {
  return forbidden_while_recording("cudaEventQuery");
}

cudaError_t cudaEventSynchronize(cudaEvent_t) {
  waited("cudaEventSynchronize");
  return forbidden_while_recording("cudaEventSynchronize");
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 1;
  return cudaSuccess;
}

// -- graphs --------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (!stream) return failed(cudaErrorStreamCaptureUnsupported);
  begin_recording(stream, mode);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  end_recording();
  *graph = fresh_handle<cudaGraph_t>();
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = is_recorded(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t* graph, const cudaGraphNode_t** nodes, const cudaGraphEdgeData** edges,
                                     size_t* count) {
  if (id) *id = 1;  // one recording at a time
  if (graph) *graph = nullptr;
  if (nodes) *nodes = nullptr;
  if (edges) *edges = nullptr;
  if (count) *count = 0;
  return cudaStreamIsCapturing(stream, status);
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  *mode = exchange_thread_mode(*mode);
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t, cudaGraphNode_t*, size_t* count) {
  *count = 1;  // none would make LibTorch warn
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* graph, cudaGraph_t, unsigned long long) {
  *graph = fresh_handle<cudaGraphExec_t>();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* graph, cudaGraph_t recorded, unsigned long long flags) {
  return cudaGraphInstantiate(graph, recorded, flags);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) {
  launched_replay();
  return cudaSuccess;
}

// -- kernels -------------------------------------------------------------------------------------------------------

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int, size_t, unsigned) {
  *blocks = 2;
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  std::memset(attributes, 0, sizeof *attributes);
  attributes->ptxVersion = attributes->binaryVersion = 90;
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->maxDynamicSharedSizeBytes = 200000;
  return cudaSuccess;
}

unsigned __cudaPushCallConfiguration(dim3 blocks, dim3 threads, size_t shared_bytes, cudaStream_t stream) {
  configured.push_back({blocks, threads, shared_bytes, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* blocks, dim3* threads, size_t* shared_bytes, void* stream) {
  const Launch launch = configured.back();
  configured.pop_back();
  *blocks = launch.blocks;
  *threads = launch.threads;
  *shared_bytes = launch.shared_bytes;
  *static_cast<cudaStream_t*>(stream) = launch.stream;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(const void** kernel, const void* function) {
  *kernel = function;
  return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(const void*, dim3 blocks, dim3 threads, void**, size_t, cudaStream_t stream) {
  return launch_kernel(blocks, threads, stream);
}

cudaError_t cudaLaunchKernel(const void*, dim3 blocks, dim3 threads, void**, size_t, cudaStream_t stream) {
  return launch_kernel(blocks, threads, stream);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void*, void**) {
  return launch_kernel(config->gridDim, config->blockDim, config->stream);
}

}  // extern "C"
