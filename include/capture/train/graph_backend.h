// A device's work, recorded once and then asked for in one call.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace capture {

/// Work that was recorded. Each time it reads and writes the same memory and uses the numbers that the host had when it
/// was recorded; only dropout draws from LibTorch's generator as it stands then.
class RecordedWork {
 public:
  virtual ~RecordedWork() = default;

  /// Asks the device for it, behind all that the current stream was asked for before.
  virtual void repeat() = 0;
};

/// What records. One for the work of one device; it must outlive what it recorded.
class GraphBackend {
 public:
  virtual ~GraphBackend() = default;

  /// Does the work in the way that record() will see it, so that libraries set up now what they cannot while recording.
  virtual void rehearse(const std::function<void()>& work) = 0;

  /// Calls `work` and records what it asks of the device, which does nothing of it: memory and generators stay as they
  /// are. The work may not wait for the device, and no tensor that it makes may be looked at after it: the next
  /// recording, or repetition of another, takes the memory. Throws what LibTorch throws.
  virtual std::unique_ptr<RecordedWork> record(const std::function<void()>& work) = 0;
};

/// LibTorch's CUDA graphs. UserError when they were left out of this build.
std::unique_ptr<GraphBackend> open_cuda_graphs(at::Device device);

}  // namespace capture
