// Where everything stands in a safetensors file that is to be written.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace capture {

/// The key of the header that names no tensor.
inline constexpr const char* kSafetensorsMetadata = "__metadata__";

struct SafetensorsLayout {
  SafetensorsLayout(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                    const std::map<std::string, std::string>& metadata);

  std::string head;             ///< the header and its length before it: all but the tensors' bytes
  std::vector<size_t> order;    ///< in which the tensors' bytes follow
  std::vector<uint64_t> begin;  ///< of each tensor, in the order they were given, from the start of the file
  uint64_t bytes;               ///< of the file
};

}  // namespace capture
