#include "capture/train/profile.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/testing.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

/// Runs `count` steps of one product each, with a thread beside them that works all the time and in each of them, and
/// returns the trace.
Json recorded(int64_t wanted, int64_t count, const testing::Folder& folder) {
  {
    StepProfiler profiler(wanted, at::kCPU, folder.path("trace.json"));
    Trace* const trace = profiler.trace();
    std::atomic<int64_t> spans = 0;
    std::jthread beside([trace, &spans](const std::stop_token& stop) {
      trace->name_thread("loader 0");
      for (int64_t i = 0; !stop.stop_requested(); ++i) {
        const TraceSpan span(trace, "decode", i);
        spans = i;
        spans.notify_one();
      }
    });
    for (int64_t i = 0; i < count; ++i) {
      profiler.step([&] {
        at::matmul(at::ones({30, 40}), at::ones({40, 50}));
        for (const int64_t before = spans; spans == before;) spans.wait(before);
      });
    }
  }
  return read_json(folder.path("trace.json")).root;
}

std::vector<Json> named(const Json& trace, const std::string& name) {
  std::vector<Json> events;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.value("name", "") == name) events.push_back(event);
  }
  return events;
}

TEST(StepProfiler, RecordsStepsAndLoaderOnOneClock) {
  const testing::Folder folder;
  const Json trace = recorded(2, StepProfiler::kWarmUp + 4, folder);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"trace.json"});
  ASSERT_EQ(named(trace, "step 1").size(), 1U);
  ASSERT_EQ(named(trace, "step 2").size(), 1U);
  EXPECT_TRUE(named(trace, "step 3").empty());
  EXPECT_EQ(named(trace, "aten::matmul").size(), 2U);

  const Json first = named(trace, "step 1").front();
  const Json second = named(trace, "step 2").front();
  const double begin = first.at("ts");
  const double end = second.at("ts").get<double>() + second.at("dur").get<double>();
  const auto beside = named(trace, "decode");
  EXPECT_GE(beside.size(), 2U);
  for (const Json& span : beside) {
    EXPECT_GE(span.at("ts").get<double>() + span.at("dur").get<double>(), begin);
    EXPECT_LE(span.at("ts").get<double>(), end);
    EXPECT_EQ(span.at("pid"), first.at("pid"));
  }
  EXPECT_TRUE(waits_in(trace).empty());
}

TEST(StepProfiler, WritesWhatThereIsWhenTheRunEndsEarly) {
  const testing::Folder folder;
  const Json trace = recorded(50, StepProfiler::kWarmUp + 1, folder);
  EXPECT_EQ(named(trace, "step 1").size(), 1U);
  EXPECT_TRUE(named(trace, "step 2").empty());
}

TEST(StepProfiler, OtherwiseWritesNothing) {
  const testing::Folder folder;
  int64_t steps = 0;
  {
    StepProfiler none(0, at::kCPU, folder.path("trace.json"));
    EXPECT_EQ(none.trace(), nullptr);
    StepProfiler late(1, at::kCPU, folder.path("trace.json"));
    for (int64_t i = 0; i < StepProfiler::kWarmUp; ++i) {
      none.step([&] { ++steps; });
      late.step([&] { ++steps; });
    }
  }
  EXPECT_EQ(steps, 2 * StepProfiler::kWarmUp);
  EXPECT_TRUE(folder.names().empty());
}

Json event(const char* name, const char* category, double start, double duration, int64_t thread = 1) {
  return {{"ph", "X"}, {"name", name}, {"cat", category}, {"ts", start}, {"dur", duration}, {"tid", thread}};
}

TEST(WaitsIn, CountsCallsInsideStepsAlone) {
  const Json trace = {
      {"traceEvents",
       {event("step 1", "user_annotation", 100, 50), event("step 2", "user_annotation", 200, 50),
        event("step 1", "gpu_user_annotation", 150, 50), Json{{"ph", "M"}, {"name", "process_name"}},
        event("cudaStreamSynchronize", "cuda_runtime", 120, 5), event("cudaStreamSynchronize", "cuda_runtime", 249, 5),
        event("cudaMemcpy", "cuda_runtime", 210, 5), event("cudaMemcpyAsync", "cuda_runtime", 211, 5),
        event("cudaLaunchKernel", "cuda_runtime", 212, 5),
        // Between the steps, and where the GPU alone is still at work.
        event("cudaStreamSynchronize", "cuda_runtime", 160, 5),
        event("cudaDeviceSynchronize", "cuda_runtime", 300, 5)}}};
  EXPECT_THAT(waits_in(trace), ElementsAre(Pair("cudaMemcpy", 1), Pair("cudaStreamSynchronize", 2)));
}

TEST(WaitsIn, CountsThreadsThatComputeAlone) {
  const Json trace = {{"traceEvents",
                       {event("step 1", "user_annotation", 100, 50), event("aten::mul", "cpu_op", 110, 5, /*thread=*/2),
                        event("cudaStreamSynchronize", "cuda_runtime", 120, 5, /*thread=*/2),
                        // Of a checkpoint that is being written.
                        event("cudaEventSynchronize", "cuda_runtime", 130, 5, /*thread=*/3)}}};
  EXPECT_THAT(waits_in(trace), ElementsAre(Pair("cudaStreamSynchronize", 1)));
}

TEST(ShowsGpu, TellsATraceWithoutCallsOfCuda) {
  Json trace = {{"traceEvents", {event("step 1", "user_annotation", 100, 50), event("aten::mul", "cpu_op", 110, 5)}}};
  EXPECT_FALSE(shows_gpu(trace));
  trace["traceEvents"].push_back(event("cudaLaunchKernel", "cuda_runtime", 112, 1));
  EXPECT_TRUE(shows_gpu(trace));
}

}  // namespace
}  // namespace capture
