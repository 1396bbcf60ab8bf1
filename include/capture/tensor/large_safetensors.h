// safetensors files of gigabytes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace capture {

/// As write_safetensors, the same bytes, but past the page cache (BulkFile), so that neither the copy into it nor what
/// it drives out is paid for. Returns the file's block checksum (block_checksum.h).
uint64_t write_large_safetensors(const std::filesystem::path& path,
                                 const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                                 const std::map<std::string, std::string>& metadata = {});

}  // namespace capture
