// A picture of a few steps: which operation ran when on which thread and GPU stream, for ui.perfetto.dev.
#pragma once

#include <c10/core/Device.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "capture/base/json.h"
#include "capture/base/trace.h"

namespace capture {

/// Records steps with LibTorch's profiler, and what the loader's threads did meanwhile, in one file of Chrome's trace
/// format. One at a time in a process.
class StepProfiler {
 public:
  /// Steps that pass before the first one recorded: they fill caches and pools.
  static constexpr int64_t kWarmUp = 3;

  /// Records `count` steps after kWarmUp others, and writes `file` after the last of them; 0: records nothing.
  StepProfiler(int64_t count, at::Device device, std::filesystem::path file);
  /// Writes what there is when the run ended before, or warns that there is nothing.
  ~StepProfiler();
  StepProfiler(const StepProfiler&) = delete;
  StepProfiler& operator=(const StepProfiler&) = delete;

  /// What a kill may leave beside `file`: LibTorch's own trace, which is read back, and what LibTorch writes that into.
  static std::array<std::filesystem::path, 2> parts_of(const std::filesystem::path& file);

  /// For the loader; null when nothing is (any longer) to be recorded.
  Trace* trace() { return left_ > 0 ? &trace_ : nullptr; }

  /// Calls `step`, recorded when its turn has come. UserError when the file cannot be written.
  void step(const std::function<void()>& step);

 private:
  void start();
  void finish();

  int64_t count_;
  int64_t left_;
  int64_t passed_ = 0;
  at::Device device_;
  std::filesystem::path file_;
  Trace trace_;
};

/// Calls that made a computing thread wait for the GPU inside the steps of a trace that StepProfiler wrote, by name,
/// with their number. Empty on a CPU, where no step waited, and where the trace does not show the GPU.
std::map<std::string, int64_t> waits_in(const Json& trace);

/// Whether a trace holds calls of CUDA: it does not where CUDA's profiling library is missing or not allowed.
bool shows_gpu(const Json& trace);

}  // namespace capture
