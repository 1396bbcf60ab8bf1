#include "memory_copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <thread>

#include "capture/base/error.h"

namespace capture {

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Descriptor {
 public:
  explicit Descriptor(const std::filesystem::path& file) : number_(::open(file.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (number_ < 0) throw UserError({.what = "cannot be read", .where = file.string()});
  }
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }

 private:
  int number_;
};

}  // namespace

double memory_copy_rate(int64_t threads) {
  constexpr size_t kBytes = size_t{64} << 20;
  constexpr int kRounds = 16;
  std::vector<double> rates(static_cast<size_t>(threads));
  {
    std::vector<std::jthread> copiers;
    for (double& rate : rates) {
      copiers.emplace_back([&rate] {
        const auto from = std::make_unique<std::byte[]>(kBytes);
        const auto to = std::make_unique<std::byte[]>(kBytes);
        const auto start = Clock::now();
        for (int round = 0; round < kRounds; ++round) {
          std::memcpy(to.get(), from.get(), kBytes);
          asm volatile("" : : "r"(to.get()) : "memory");  // nobody reads the copy, and it is to be made all the same
        }
        rate = 2.0 * kRounds * static_cast<double>(kBytes) / since(start);
      });
    }
  }
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

double sequential_read_rate(const std::vector<std::filesystem::path>& files) {
  std::vector<std::byte> block(size_t{1} << 20);
  double bytes = 0;
  double seconds = 0;
  for (const auto& file : files) {
    drop_cached(file);
    const Descriptor descriptor(file);
    const auto start = Clock::now();
    for (;;) {
      const ssize_t got = ::read(descriptor.number(), block.data(), block.size());
      if (got < 0) throw UserError({.what = "cannot be read", .where = file.string()});
      if (got == 0) break;
      bytes += static_cast<double>(got);
    }
    seconds += since(start);
  }
  return bytes / seconds;
}

void drop_cached(const std::filesystem::path& file) {
  const Descriptor descriptor(file);
  // Pages that wait to be written cannot be dropped.
  ::fsync(descriptor.number());
  ::posix_fadvise(descriptor.number(), 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace capture
