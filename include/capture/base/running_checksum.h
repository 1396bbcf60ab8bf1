// checksum() of bytes that come in parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace capture {

class RunningChecksum {
 public:
  RunningChecksum();

  void add(std::span<const std::byte> bytes);

  /// checksum() (files.h) of all bytes so far.
  uint64_t value() const;

  /// As if there had been none.
  void restart();

 private:
  struct Free {
    void operator()(void* state) const;
  };
  std::unique_ptr<void, Free> state_;
};

}  // namespace capture
