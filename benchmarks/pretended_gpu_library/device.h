// The pretended GPUs' state: which memory is whose, what is being recorded, and what CUDA would refuse or wait for.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace pretended {

enum class Memory { pageable, pinned, device };

constexpr size_t kDeviceBytes = size_t{8} << 30;

int device_count();  // CAPTURE_PRETENDED_GPUS, else 1
int current_device();
void set_current_device(int device);
bool has_context(int device);

/// A call that makes CUDA set up a context on the current device; noted where that is not the rank's own (LOCAL_RANK).
void needs_context(const std::string& call);

void* allocate(size_t bytes, Memory memory);
void release(void* address);
Memory memory_of(const void* address);
size_t free_device_bytes();

/// Something asked for on a stream; noted where another stream is being recorded: the recording would lack it.
void launched(const std::string& what, cudaStream_t stream);
void launched_copy(void* to, const void* from, size_t bytes, cudaStream_t stream);
void launched_collective(const std::string& what, cudaStream_t stream);
void launched_replay();

/// A call after which the host knows that the device is through with something.
void waited(const std::string& call);

/// cudaSuccess, or what a call that a recording forbids gives back: it is noted, and kept for cudaGetLastError.
cudaError_t forbidden_while_recording(const std::string& call);
/// The same for a call that takes part in the recording only if it goes to the recorded stream.
cudaError_t forbidden_on_recorded(const std::string& call, cudaStream_t stream);

void begin_recording(cudaStream_t stream, cudaStreamCaptureMode mode);
void end_recording();
bool is_recorded(cudaStream_t stream);
/// Whether so many bytes are moved now.
bool moves(size_t bytes, cudaStream_t stream);
cudaStreamCaptureMode exchange_thread_mode(cudaStreamCaptureMode mode);

cudaError_t failed(cudaError_t error);
cudaError_t last_error(bool forget);

}  // namespace pretended
