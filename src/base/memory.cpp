#include "capture/base/memory.h"

#include <malloc.h>

#include <climits>

namespace capture {

void keep_freed_memory() {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, INT_MAX);
  ::mallopt(M_TOP_PAD, 256 << 20);
#endif
}

}  // namespace capture
