#include "capture/base/memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace capture {

namespace {

namespace fs = std::filesystem;

/// The number behind `name` in a file of names and numbers.
std::optional<int64_t> number_after(const fs::path& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    int64_t value = 0;
    if (word == name && file >> value) return value;
  }
  return std::nullopt;
}

/// The number that a file holds; none when it holds a word, as "max".
std::optional<int64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? std::optional(value) : std::nullopt;
}

/// This process's control group as a path below the mount point, of a line "0::/user.slice/…".
fs::path control_group(const fs::path& system) {
  std::ifstream file(system / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::/")) return line.substr(4);
  }
  return {};
}

}  // namespace

void keep_freed_memory() {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, INT_MAX);
  ::mallopt(M_TOP_PAD, 256 << 20);
#endif
}

void return_pages(void* block, size_t bytes) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = (reinterpret_cast<uintptr_t>(block) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(block) + bytes) / page * page;
  // A system that refuses keeps the pages, which is no error.
  if (first < end) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

int64_t anonymous_memory() {
  return number_after("/proc/self/status", "RssAnon:").value_or(0) * 1024;
}

int64_t available_memory(const fs::path& system) {
  int64_t available = number_after(system / "proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  const fs::path mount = system / "sys/fs/cgroup";
  fs::path group = control_group(system);
  for (;;) {
    const fs::path folder = mount / group;
    if (const auto limit = number_in(folder / "memory.max")) {
      // What is kept of files counts as used, and is given up when memory is asked for.
      int64_t used = number_in(folder / "memory.current").value_or(0);
      for (const char* kept : {"inactive_file", "active_file", "slab_reclaimable"}) {
        used -= number_after(folder / "memory.stat", kept).value_or(0);
      }
      available = std::min(available, std::max(*limit - used, int64_t{0}));
    }
    if (group.empty()) return available;
    group = group.parent_path();
  }
}

}  // namespace capture
