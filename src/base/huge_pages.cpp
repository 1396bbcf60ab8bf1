#include "capture/base/huge_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace capture {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void FreePages::operator()(std::byte* memory) const {
  std::free(memory);
}

HugePages take_huge_pages(size_t bytes) {
  const size_t pages = bytes / kHugePage + (bytes % kHugePage > 0 ? 1 : 0);
  const size_t whole = std::max(pages, size_t{1}) * kHugePage;
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(kHugePage, whole));
  if (memory == nullptr) throw std::bad_alloc();
  ::madvise(memory, whole, MADV_HUGEPAGE);
  return HugePages(memory);
}

}  // namespace capture
