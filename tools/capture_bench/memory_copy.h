// What the machine can move: the yardstick of a loader, whose work is to move memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace capture {

/// Bytes a second that `threads` threads together read and write in memcpy (both counted), out of caches.
double memory_copy_rate(int64_t threads);

/// Bytes a second that reading the files from start to end in blocks of 1 MiB takes from the disk, as dd does it: what
/// the page cache holds of them is dropped first. UserError when a file cannot be read.
double sequential_read_rate(const std::vector<std::filesystem::path>& files);

/// Drops what the page cache holds of a file.
void drop_cached(const std::filesystem::path& file);

}  // namespace capture
