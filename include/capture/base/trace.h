// What each thread did when, in the format that chrome://tracing and ui.perfetto.dev show.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "capture/base/json.h"

namespace capture {

/// Spans of time by thread, kept in memory until they are written. Thread-safe.
class Trace {
 public:
  using Clock = std::chrono::steady_clock;

  /// Spans beyond this many are counted and not kept.
  static constexpr size_t kMostSpans = 1'000'000;

  /// What the calling thread is called in the picture.
  void name_thread(std::string name);

  /// The calling thread did `name`, on item `number`, from `start` to `end`. `name` must outlive the trace.
  void add(const char* name, int64_t number, Clock::time_point start, Clock::time_point end);

  /// How many spans were not kept.
  int64_t left_out() const;

  /// Spans that are added from here on are not kept.
  void stop();

  /// The threads' names and the spans as events of the format, in microseconds since `origin`, of process `process`.
  Json events(Clock::time_point origin, int64_t process) const;

  /// Writes a JSON file. UserError when that fails.
  void write(const std::filesystem::path& path) const;

 private:
  struct Span {
    const char* name;
    int64_t number;
    int64_t thread;
    Clock::time_point start, end;
  };

  mutable std::mutex mutex_;
  std::map<int64_t, std::string> threads_;
  std::vector<Span> spans_;
  int64_t left_out_ = 0;
  bool stopped_ = false;
  Clock::time_point origin_ = Clock::now();
};

/// Adds the time from its making to its end. Costs nothing without a trace.
class TraceSpan {
 public:
  TraceSpan(Trace* trace, const char* name, int64_t number) : trace_(trace), name_(name), number_(number) {
    if (trace_ != nullptr) start_ = Trace::Clock::now();
  }
  ~TraceSpan() {
    if (trace_ != nullptr) trace_->add(name_, number_, start_, Trace::Clock::now());
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  Trace* trace_;
  const char* name_;
  int64_t number_;
  Trace::Clock::time_point start_;
};

}  // namespace capture
