#include "capture/base/trace.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <thread>

#include "capture/base/json.h"

namespace capture {
namespace {

using namespace std::chrono_literals;

class TraceFile : public ::testing::Test {
 protected:
  ~TraceFile() override { std::filesystem::remove(path); }

  Json written(const Trace& trace) const {
    trace.write(path);
    return read_json(path).root;
  }

  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("capture_trace_" + std::to_string(::getpid()) + ".json");
};

TEST_F(TraceFile, HoldsEachSpanInMicroseconds) {
  Trace trace;
  const auto start = Trace::Clock::now();
  trace.add("copy", 7, start, start + 1500us);
  const Json events = written(trace).at("traceEvents");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].at("ph"), "X");
  EXPECT_EQ(events[0].at("name"), "copy");
  EXPECT_EQ(events[0].at("args").at("number"), 7);
  EXPECT_DOUBLE_EQ(events[0].at("dur").get<double>(), 1500.0);
  EXPECT_GE(events[0].at("ts").get<double>(), 0.0);
}

TEST_F(TraceFile, TellsThreadsApart) {
  Trace trace;
  const auto work = [&](const std::string& name) {
    trace.name_thread(name);
    const TraceSpan span(&trace, "work", 0);
  };
  std::jthread(work, "one").join();
  std::jthread(work, "two").join();
  std::set<std::string> names;
  std::set<int64_t> threads;
  const Json events = written(trace).at("traceEvents");
  for (const Json& event : events) {
    threads.insert(event.at("tid").get<int64_t>());
    if (event.at("ph") == "M") names.insert(event.at("args").at("name"));
  }
  EXPECT_EQ(names, (std::set<std::string>{"one", "two"}));
  EXPECT_EQ(threads.size(), 2U);
}

TEST_F(TraceFile, CountsWhatItCannotKeep) {
  Trace trace;
  const auto now = Trace::Clock::now();
  for (size_t i = 0; i < Trace::kMostSpans + 3; ++i) trace.add("wait", 0, now, now);
  EXPECT_EQ(trace.left_out(), 3);
}

TEST(TraceSpan, NeedsNoTrace) {
  EXPECT_NO_THROW(TraceSpan(nullptr, "work", 0));
}

}  // namespace
}  // namespace capture
