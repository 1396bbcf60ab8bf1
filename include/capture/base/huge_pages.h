// Large blocks of memory.
#pragma once

#include <cstddef>
#include <memory>

namespace capture {

struct FreePages {
  void operator()(std::byte* memory) const;
};

/// Memory that nobody has written to yet.
using HugePages = std::unique_ptr<std::byte, FreePages>;

/// At least `bytes` bytes, in huge pages where the system grants them: the kernel maps, clears and hands to disks one
/// of those instead of 512 small ones. They begin where a huge page does. std::bad_alloc.
HugePages take_huge_pages(size_t bytes);

}  // namespace capture
