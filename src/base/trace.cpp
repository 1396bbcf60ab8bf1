#include "capture/base/trace.h"

#include <unistd.h>

#include "capture/base/files.h"

namespace capture {

namespace {

double microseconds(Trace::Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

}  // namespace

void Trace::name_thread(std::string name) {
  const std::lock_guard lock(mutex_);
  threads_[::gettid()] = std::move(name);
}

void Trace::add(const char* name, int64_t number, Clock::time_point start, Clock::time_point end) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  if (spans_.size() == kMostSpans) {
    ++left_out_;
  } else {
    spans_.push_back({name, number, ::gettid(), start, end});
  }
}

int64_t Trace::left_out() const {
  const std::lock_guard lock(mutex_);
  return left_out_;
}

void Trace::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
}

Json Trace::events(Clock::time_point origin, int64_t process) const {
  const std::lock_guard lock(mutex_);
  Json events = Json::array();
  for (const auto& [thread, name] : threads_) {
    events.push_back(
        {{"ph", "M"}, {"name", "thread_name"}, {"pid", process}, {"tid", thread}, {"args", {{"name", name}}}});
  }
  for (const Span& span : spans_) {
    events.push_back({{"ph", "X"},
                      {"name", span.name},
                      {"pid", process},
                      {"tid", span.thread},
                      {"ts", microseconds(span.start - origin)},
                      {"dur", microseconds(span.end - span.start)},
                      {"args", {{"number", span.number}}}});
  }
  return events;
}

void Trace::write(const std::filesystem::path& path) const {
  const Json file = {
      {"displayTimeUnit", "ms"}, {"traceEvents", events(origin_, 1)}, {"otherData", {{"left_out", left_out()}}}};
  write_file(path, file.dump() + '\n');
}

}  // namespace capture
