// Devices and memory: the functions of CUDA's runtime and driver whose answers LibTorch looks at. What it merely calls
// is generated.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "device.h"

using namespace pretended;

namespace {

cudaError_t give_memory(const char* call, void** address, size_t bytes, Memory memory) {
  if (const cudaError_t error = forbidden_while_recording(call)) return error;
  needs_context(call);
  *address = allocate(bytes, memory);
  return *address ? cudaSuccess : failed(cudaErrorMemoryAllocation);
}

cudaError_t take_memory(const char* call, void* address) {
  if (!address) return cudaSuccess;
  if (const cudaError_t error = forbidden_while_recording(call)) return error;
  release(address);
  return cudaSuccess;
}

CUresult succeed() {
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

// -- devices: like an H100, as far as LibTorch asks ----------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count();
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = current_device();
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= device_count()) return failed(cudaErrorInvalidDevice);
  set_current_device(device);
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  return last_error(/*forget=*/true);
}

cudaError_t cudaPeekAtLastError() {
  return last_error(/*forget=*/false);
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return cudaDriverGetVersion(version);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::memset(properties, 0, sizeof *properties);
  std::snprintf(properties->name, sizeof properties->name, "pretended GPU");
  properties->major = 9;
  properties->totalGlobalMem = kDeviceBytes;
  properties->multiProcessorCount = 132;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024;
  properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = INT32_MAX;
  properties->maxGridSize[1] = properties->maxGridSize[2] = UINT16_MAX;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->maxBlocksPerMultiProcessor = 32;
  properties->sharedMemPerBlock = 49152;
  properties->sharedMemPerBlockOptin = 232448;
  properties->sharedMemPerMultiprocessor = 233472;
  properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
  properties->l2CacheSize = 50 << 20;
  properties->memoryBusWidth = 5120;
  properties->textureAlignment = 512;
  properties->unifiedAddressing = properties->concurrentKernels = 1;
  properties->asyncEngineCount = 3;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  cudaGetDeviceProperties(&properties, device);
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      break;
    case cudaDevAttrWarpSize:
      *value = properties.warpSize;
      break;
    case cudaDevAttrMaxThreadsPerBlock:
      *value = properties.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = properties.maxThreadsPerMultiProcessor;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(properties.sharedMemPerBlock);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      break;
    case cudaDevAttrMaxGridDimX:
      *value = properties.maxGridSize[0];
      break;
    default:
      *value = 1;
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* name, int length, int device) {
  std::snprintf(name, static_cast<size_t>(length), "0000:%02x:00.0", device + 1);
  return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  waited("cudaDeviceSynchronize");
  return forbidden_while_recording("cudaDeviceSynchronize");
}

// -- memory --------------------------------------------------------------------------------------------------------

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  needs_context("cudaMemGetInfo");
  *free = free_device_bytes();
  *total = kDeviceBytes;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** address, size_t bytes) {
  return give_memory("cudaMalloc", address, bytes, Memory::device);
}

cudaError_t cudaFree(void* address) {
  return take_memory("cudaFree", address);
}

cudaError_t cudaHostAlloc(void** address, size_t bytes, unsigned) {
  return give_memory("cudaHostAlloc", address, bytes, Memory::pinned);
}

cudaError_t cudaFreeHost(void* address) {
  return take_memory("cudaFreeHost", address);
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  std::memset(attributes, 0, sizeof *attributes);
  const Memory memory = memory_of(address);
  attributes->type = memory == Memory::device   ? cudaMemoryTypeDevice
                     : memory == Memory::pinned ? cudaMemoryTypeHost
                                                : cudaMemoryTypeUnregistered;
  attributes->devicePointer = memory == Memory::device ? const_cast<void*>(address) : nullptr;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  launched_copy(to, from, bytes, stream);
  const bool pageable = memory_of(to) == Memory::pageable || memory_of(from) == Memory::pageable;
  return pageable && is_recorded(stream) ? forbidden_on_recorded("copy of pageable memory", stream) : cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  waited("cudaMemcpy");
  if (const cudaError_t error = forbidden_while_recording("cudaMemcpy")) return error;
  launched_copy(to, from, bytes, nullptr);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* address, int value, size_t bytes, cudaStream_t stream) {
  launched("memset", stream);
  if (moves(bytes, stream)) std::memset(address, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaGetSymbolAddress(void** address, const void*) {
  static char variables[1 << 16];  // larger than any that LibTorch's kernels keep
  *address = variables;
  return cudaSuccess;
}

// -- the driver ----------------------------------------------------------------------------------------------------

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  *flags = 0;
  *active = has_context(device) ? 1 : 0;
  return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  const bool tells_state = std::strcmp(name, "cuDevicePrimaryCtxGetState") == 0;
  *function = tells_state ? reinterpret_cast<void*>(&cuDevicePrimaryCtxGetState) : reinterpret_cast<void*>(&succeed);
  if (result) *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

}  // extern "C"
