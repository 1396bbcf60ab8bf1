// Where the time of a step goes, by kind of work.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace capture {

/// Measures the operations that this thread runs while it lives, each without those that it calls. One at a time.
class Breakdown {
 public:
  Breakdown();
  ~Breakdown();
  Breakdown(const Breakdown&) = delete;
  Breakdown& operator=(const Breakdown&) = delete;

  /// A table of milliseconds a call for `calls` calls: each kind of work, and the operations of the kind "other" that
  /// take longest. Products are held against `ceiling`, floating-point operations a second.
  std::string table(int64_t calls, double ceiling) const;

  /// What an operation added up to.
  struct Work {
    double seconds = 0;
    int64_t calls = 0;
    double operations = 0;  ///< floating-point operations, of products
  };

  void add(const std::string& name, double seconds, double operations);

 private:
  std::map<std::string, Work> work_;  // by operation
  std::chrono::steady_clock::time_point start_;
  uint64_t callback_;
};

}  // namespace capture
