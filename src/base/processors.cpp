#include "capture/base/processors.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <set>
#include <string_view>
#include <tuple>

namespace capture {

namespace {

namespace fs = std::filesystem;

/// The kernel's own limit is 8192 processors; cpu_set_t alone holds 1024.
constexpr size_t kSets = 8;
using Mask = std::array<cpu_set_t, kSets>;

/// The number that a file begins with, as "0,64" or "2-3"; `otherwise` without one.
int first_number(const fs::path& path, int otherwise) {
  std::ifstream file(path);
  int number = 0;
  return file >> number ? number : otherwise;
}

/// The node whose folder stands in the processor's own; 0 where memory is one.
int node_of(const fs::path& processor) {
  constexpr std::string_view kNode = "node";
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(processor, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kNode)) continue;
    int node = 0;
    const char* const end = name.data() + name.size();
    const auto [last, wrong] = std::from_chars(name.data() + kNode.size(), end, node);
    if (wrong == std::errc() && last == end) return node;
  }
  return 0;
}

std::vector<int> cores_of(std::span<const Processor> processors) {
  std::vector<int> cores;
  for (const auto& each : processors) {
    if (std::ranges::find(cores, each.core) == cores.end()) cores.push_back(each.core);
  }
  return cores;
}

}  // namespace

std::vector<Processor> allowed_processors(const fs::path& system) {
  Mask mask{};
  if (::sched_getaffinity(0, sizeof mask, mask.data()) != 0) return {};
  std::vector<Processor> processors;
  for (int number = 0; number < static_cast<int>(8 * sizeof mask); ++number) {
    if (!CPU_ISSET_S(static_cast<size_t>(number), sizeof mask, mask.data())) continue;
    const fs::path folder = system / "sys/devices/system/cpu" / ("cpu" + std::to_string(number));
    processors.push_back({.number = number,
                          .core = first_number(folder / "topology/thread_siblings_list", number),
                          .node = node_of(folder)});
  }
  std::ranges::sort(processors, {},
                    [](const Processor& each) { return std::tuple(each.node, each.core, each.number); });
  return processors;
}

std::vector<Processor> share_of_processors(std::span<const Processor> processors, int64_t index, int64_t count) {
  const std::vector<int> cores = cores_of(processors);
  const auto all = std::ssize(cores);
  if (all == 0) return {};
  const int64_t first = all < count ? index % all : index * all / count;
  const int64_t end = all < count ? first + 1 : (index + 1) * all / count;
  const std::set<int> own(cores.begin() + first, cores.begin() + end);
  std::vector<Processor> share;
  std::ranges::copy_if(processors, std::back_inserter(share),
                       [&](const Processor& each) { return own.contains(each.core); });
  return share;
}

bool stay_on(std::span<const Processor> processors) {
  Mask mask{};
  for (const auto& each : processors) CPU_SET_S(static_cast<size_t>(each.number), sizeof mask, mask.data());
  return ::sched_setaffinity(0, sizeof mask, mask.data()) == 0;
}

std::string names_of(std::span<const Processor> processors) {
  std::vector<int> numbers;
  for (const auto& each : processors) numbers.push_back(each.number);
  std::ranges::sort(numbers);
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (!text.empty()) text += ", ";
    text += std::to_string(numbers[i]);
    if (last > i) text.append("-").append(std::to_string(numbers[last]));
    i = last + 1;
  }
  return text;
}

bool bfloat16_pairs_pay() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx512bf16")) return false;
  return !__builtin_cpu_is("intel") || __builtin_cpu_is("cooperlake");
#else
  return false;
#endif
}

}  // namespace capture
