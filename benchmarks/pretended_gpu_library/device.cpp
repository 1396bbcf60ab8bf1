#include "device.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "journal.h"

namespace pretended {

namespace {

struct Block {
  size_t bytes;
  Memory memory;
};

struct Recording {
  cudaStream_t stream = nullptr;  // none is being recorded
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
};

struct State {
  std::mutex mutex;
  std::map<uintptr_t, Block> blocks;  // by their first address
  size_t device_bytes = 0;
  std::set<int> contexts;
  Recording recording;
  Counts counts;
};

/// Never destroyed: LibTorch frees memory until the process is gone.
State& state() {
  static State* const only = new State;
  return *only;
}

thread_local int device = 0;
thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;
thread_local cudaError_t error = cudaSuccess;
thread_local cudaStream_t latest_stream = nullptr;

int number_in(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::atoi(text) : otherwise;
}

Recording recording() {
  const std::scoped_lock lock(state().mutex);
  return state().recording;
}

/// Each mode forbids unsafe calls to fewer threads than the one before.
bool forbids(const Recording& recording) {
  if (!recording.stream || thread_mode == cudaStreamCaptureModeRelaxed) return false;
  return recording.mode == cudaStreamCaptureModeGlobal ||
         (recording.mode == cudaStreamCaptureModeThreadLocal && recording.thread == std::this_thread::get_id());
}

cudaError_t refuse(const std::string& call) {
  note("illegal", call);
  return failed(cudaErrorStreamCaptureUnsupported);
}

}  // namespace

int device_count() {
  return number_in("CAPTURE_PRETENDED_GPUS", 1);
}

int current_device() {
  return device;
}

void set_current_device(int chosen) {
  device = chosen;
  needs_context("cudaSetDevice");  // since CUDA 12
}

bool has_context(int asked) {
  const std::scoped_lock lock(state().mutex);
  return state().contexts.count(asked) > 0;
}

void needs_context(const std::string& call) {
  {
    const std::scoped_lock lock(state().mutex);
    state().contexts.insert(device);
  }
  if (device != number_in("LOCAL_RANK", 0)) note("foreign", call + " on device " + std::to_string(device));
}

void* allocate(size_t bytes, Memory memory) {
  constexpr size_t kPage = 4096;
  const std::scoped_lock lock(state().mutex);
  if (memory == Memory::device && bytes > kDeviceBytes - state().device_bytes) return nullptr;
  const size_t whole = (bytes + kPage - 1) / kPage * kPage;
  void* const address = std::aligned_alloc(kPage, whole);
  if (!address) return nullptr;
  std::memset(address, 0, whole);  // what no kernel ever writes is at least the same in every run
  state().blocks[reinterpret_cast<uintptr_t>(address)] = {bytes, memory};
  if (memory == Memory::device) state().device_bytes += bytes;
  return address;
}

void release(void* address) {
  const std::scoped_lock lock(state().mutex);
  const auto block = state().blocks.find(reinterpret_cast<uintptr_t>(address));
  if (block == state().blocks.end()) return;
  if (block->second.memory == Memory::device) state().device_bytes -= block->second.bytes;
  state().blocks.erase(block);
  std::free(address);
}

Memory memory_of(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  const std::scoped_lock lock(state().mutex);
  auto next = state().blocks.upper_bound(wanted);
  if (next == state().blocks.begin()) return Memory::pageable;
  const auto& [first, block] = *--next;
  return wanted < first + block.bytes ? block.memory : Memory::pageable;
}

size_t free_device_bytes() {
  const std::scoped_lock lock(state().mutex);
  return kDeviceBytes - state().device_bytes;
}

void launched(const std::string& what, cudaStream_t stream) {
  this_thread_computes();
  needs_context(what);
  latest_stream = stream;
  cudaStream_t recorded = nullptr;
  {
    const std::scoped_lock lock(state().mutex);
    ++state().counts.launches;
    recorded = state().recording.stream;
  }
  if (recorded && recorded != stream) note("beside", what);
}

bool moves(size_t bytes, cudaStream_t stream) {
  // What a device would move itself costs the host nothing: where its time is looked at, only what it reads is moved.
  static const bool all = std::getenv("CAPTURE_PRETENDED_HOST_ONLY") == nullptr;
  constexpr size_t kRead = 4096;
  return !is_recorded(stream) && (all || bytes <= kRead);
}

void launched_copy(void* to, const void* from, size_t bytes, cudaStream_t stream) {
  const Memory source = memory_of(from), target = memory_of(to);
  // A batch: page-locked memory, copied on a stream on which nothing is computed.
  if (source == Memory::pinned && target == Memory::device && is_main_thread() && stream != latest_stream) {
    Counts counts;
    {
      const std::scoped_lock lock(state().mutex);
      counts = state().counts;
    }
    note_batch(counts);
  }
  launched("copy", stream);
  if (source == Memory::pageable || target == Memory::pageable) note("pageable", std::to_string(bytes) + " bytes");
  if (moves(bytes, stream)) std::memcpy(to, from, bytes);
}

void launched_collective(const std::string& what, cudaStream_t stream) {
  {
    const std::scoped_lock lock(state().mutex);
    ++state().counts.collectives;
  }
  launched(what, stream);
}

void launched_replay() {
  const std::scoped_lock lock(state().mutex);
  ++state().counts.launches;
  ++state().counts.replays;
}

void waited(const std::string& call) {
  note("wait", call);
}

cudaError_t forbidden_while_recording(const std::string& call) {
  return forbids(recording()) ? refuse(call) : cudaSuccess;
}

cudaError_t forbidden_on_recorded(const std::string& call, cudaStream_t stream) {
  return is_recorded(stream) ? refuse(call) : forbidden_while_recording(call);
}

void begin_recording(cudaStream_t stream, cudaStreamCaptureMode mode) {
  note("recording", "", /*with_stack=*/false);
  const std::scoped_lock lock(state().mutex);
  state().recording = {stream, mode, std::this_thread::get_id()};
}

void end_recording() {
  const std::scoped_lock lock(state().mutex);
  state().recording = {};
}

bool is_recorded(cudaStream_t stream) {
  return stream && recording().stream == stream;
}

cudaStreamCaptureMode exchange_thread_mode(cudaStreamCaptureMode mode) {
  return std::exchange(thread_mode, mode);
}

cudaError_t failed(cudaError_t what) {
  return error = what;
}

cudaError_t last_error(bool forget) {
  return forget ? std::exchange(error, cudaSuccess) : error;
}

}  // namespace pretended
