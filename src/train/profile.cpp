#include "capture/train/profile.h"

#include <ATen/record_function.h>
#include <torch/csrc/autograd/profiler_kineto.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"

namespace capture {

namespace {

namespace profiler = torch::autograd::profiler;

constexpr std::string_view kStepName = "step ";

/// Calls of CUDA's runtime that return when the GPU has got that far. A copy that does not wait is called
/// cudaMemcpyAsync.
constexpr std::array<std::string_view, 7> kWaits = {
    "cudaDeviceSynchronize", "cudaStreamSynchronize", "cudaEventSynchronize", "cudaMemcpy",
    "cuCtxSynchronize",      "cuStreamSynchronize",   "cuEventSynchronize"};

profiler::ProfilerConfig settings() {
  return profiler::ProfilerConfig(profiler::ProfilerState::KINETO, /*report_input_shapes=*/true);
}

std::set<profiler::ActivityType> activities_on(at::Device device) {
  std::set<profiler::ActivityType> activities = {profiler::ActivityType::CPU};
  if (device.is_cuda()) activities.insert(profiler::ActivityType::CUDA);
  return activities;
}

/// LibTorch's file counts time from a moment of the system's clock that it names.
Trace::Clock::time_point origin_of(const Json& trace) {
  const std::chrono::nanoseconds base(trace.value("baseTimeNanoseconds", int64_t{0}));
  const auto since = std::chrono::system_clock::now().time_since_epoch() - base;
  return Trace::Clock::now() - std::chrono::duration_cast<Trace::Clock::duration>(since);
}

bool is_step(const Json& event) {
  return event.value("cat", "") == "user_annotation" && event.value("name", "").starts_with(kStepName);
}

int64_t thread_of(const Json& event) {
  const Json thread = event.value("tid", Json());
  return thread.is_number_integer() ? thread.get<int64_t>() : -1;  // a GPU's rows may have names
}

/// Start and end, in the trace's microseconds.
std::pair<double, double> times_of(const Json& event) {
  const double start = event.value("ts", 0.0);
  return {start, start + event.value("dur", 0.0)};
}

std::string listed(const std::map<std::string, int64_t>& waits) {
  std::string list;
  for (const auto& [name, count] : waits) {
    list += (list.empty() ? "" : ", ") + name + " (" + std::to_string(count) + ")";
  }
  return list;
}

}  // namespace

StepProfiler::StepProfiler(int64_t count, at::Device device, std::filesystem::path file)
    : count_(count), left_(count), device_(device), file_(std::move(file)) {}

StepProfiler::~StepProfiler() {
  if (left_ == 0) return;
  if (left_ == count_) {
    log::warn("no step is recorded in {}: only {} were taken, and the first {} never are", file_.string(), passed_,
              kWarmUp);
    return;
  }
  try {
    finish();
  } catch (const std::exception& error) {
    log::warn("{}", error.what());
  }
}

std::array<std::filesystem::path, 2> StepProfiler::parts_of(const std::filesystem::path& file) {
  return {file.string() + ".part", file.string() + ".part.tmp"};
}

void StepProfiler::step(const std::function<void()>& step) {
  if (left_ == 0 || passed_ < kWarmUp) {
    ++passed_;
    step();
    return;
  }
  if (left_ == count_) start();
  --left_;
  {
    const std::string name = std::string(kStepName) + std::to_string(count_ - left_);
    at::RecordFunction span(at::RecordScope::USER_SCOPE);
    if (span.isActive()) span.before(std::string_view(name));
    step();
  }
  if (left_ == 0) finish();
}

void StepProfiler::start() {
  // Without a GPU the library that looks for one complains.
  if (device_.is_cpu()) ::setenv("KINETO_LOG_LEVEL", "5", /*overwrite=*/0);
  profiler::prepareProfiler(settings(), activities_on(device_));
  profiler::enableProfiler(settings(), activities_on(device_));
}

void StepProfiler::finish() {
  const auto recorded = profiler::disableProfiler();
  trace_.stop();
  const std::filesystem::path part = parts_of(file_).front();
  recorded->save(part.string());
  Json trace = Json::parse(read_file(part), nullptr, /*allow_exceptions=*/false);
  std::filesystem::remove(part);
  if (!trace.is_object() || !trace.contains("traceEvents")) {
    throw UserError({.what = "cannot write the trace", .where = file_.string(), .hint = "check the disk's free space"});
  }
  Json& events = trace["traceEvents"];
  double first = 0, last = 0;
  for (const Json& event : events) {
    if (!is_step(event)) continue;
    const auto [start, end] = times_of(event);
    first = last == 0 ? start : std::min(first, start);
    last = std::max(last, end);
  }
  for (Json& event : trace_.events(origin_of(trace), ::getpid())) {
    const auto [start, end] = times_of(event);
    if (event.at("ph") != "X" || (end >= first && start <= last)) events.push_back(std::move(event));
  }
  write_file(file_, trace.dump() + '\n');

  log::info("{} steps recorded in {}; ui.perfetto.dev shows it", count_ - left_, file_.string());
  if (!device_.is_cuda()) return;
  if (!shows_gpu(trace)) {
    log::warn("the trace lacks the GPU: CUDA's profiling library (CUPTI) does not work here, see its messages above");
    return;
  }
  const auto waits = waits_in(trace);
  if (waits.empty()) {
    log::info("no recorded step waited for the GPU");
  } else {
    log::warn("the recorded steps waited for the GPU: {}", listed(waits));
  }
}

bool shows_gpu(const Json& trace) {
  return std::ranges::any_of(trace.at("traceEvents"),
                             [](const Json& event) { return event.value("cat", "") == "cuda_runtime"; });
}

std::map<std::string, int64_t> waits_in(const Json& trace) {
  std::vector<std::pair<double, double>> steps;
  std::set<int64_t> threads;  // that compute: the one that writes checkpoints waits for its copies, as it should
  for (const Json& event : trace.at("traceEvents")) {
    if (is_step(event)) steps.push_back(times_of(event));
    if (is_step(event) || event.value("cat", "") == "cpu_op") threads.insert(thread_of(event));
  }
  std::map<std::string, int64_t> waits;
  for (const Json& event : trace.at("traceEvents")) {
    const std::string name = event.value("name", "");
    if (std::ranges::find(kWaits, std::string_view(name)) == kWaits.end()) continue;
    if (!threads.contains(thread_of(event))) continue;
    const double start = times_of(event).first;
    if (std::ranges::any_of(steps, [&](const auto& step) { return step.first <= start && start < step.second; })) {
      ++waits[name];
    }
  }
  return waits;
}

}  // namespace capture
