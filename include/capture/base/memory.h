// Memory of this process and of the machine, and what the C library does with memory that is freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace capture {

/// For the rest of the process, freed memory stays with it. Work that takes and frees large blocks a sample or a step
/// at a time otherwise has the kernel map and clear the same pages again and again. Call it before threads start.
void keep_freed_memory();

/// Gives the system the pages that lie within a block of private memory whose content is no longer needed. The block
/// stays its owner's: it may be written again, which takes pages anew, and freed.
void return_pages(void* block, size_t bytes);

/// Bytes of RAM that this process holds and that no file backs; 0 where the system does not tell.
int64_t anonymous_memory();

/// Bytes of RAM that processes here could still take without swapping, the limits of the control groups (v2) that this
/// one is in counted; 0 where the system does not tell. `system` is the root of the file system.
int64_t available_memory(const std::filesystem::path& system = "/");

}  // namespace capture
