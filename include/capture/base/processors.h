// The processors that this process may run on, and how several processes of one machine divide them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace capture {

/// A hardware thread, as the kernel numbers them.
struct Processor {
  int number = 0;
  int core = 0;  ///< the lowest number among the hardware threads of its core
  int node = 0;  ///< of memory (NUMA)

  bool operator==(const Processor&) const = default;
};

/// Those that this thread may run on now, the cores of one node side by side. Empty where the system does not tell.
/// `system` is the root of the file system that describes them.
std::vector<Processor> allowed_processors(const std::filesystem::path& system = "/");

/// What process `index` of `count` takes: whole cores that lie side by side, the same number for each process or one
/// more. Where there are fewer cores than processes, the index-th core counted round, shared with others.
std::vector<Processor> share_of_processors(std::span<const Processor> processors, int64_t index, int64_t count);

/// Keeps this thread, and those that it starts from now on, on these processors. False where the system refuses.
bool stay_on(std::span<const Processor> processors);

/// Their numbers for a log: "0-3, 8".
std::string names_of(std::span<const Processor> processors);

/// Whether AVX-512's product of pairs of bfloat16 (VDPBF16PS) is faster than float32's of the same numbers. Taken to be
/// so but on Intel's processors after Cooper Lake, where one takes as long as four of float32 (measured on Emerald
/// Rapids) and AMX is there for it. False where there is none.
bool bfloat16_pairs_pay();

}  // namespace capture
