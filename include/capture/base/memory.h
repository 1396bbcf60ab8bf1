// How the C library deals with memory that is freed.
#pragma once

namespace capture {

/// For the rest of the process, freed memory stays with it. Work that takes and frees large blocks a sample or a step
/// at a time otherwise has the kernel map and clear the same pages again and again. Call it before threads start.
void keep_freed_memory();

}  // namespace capture
