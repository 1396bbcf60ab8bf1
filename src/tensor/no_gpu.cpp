#include "no_gpu.h"

namespace capture {

namespace {

bool says(std::string_view text, std::string_view words) {
  return text.find(words) != std::string_view::npos;
}

}  // namespace

NoGpu no_gpu(std::string_view error) {
  if (says(error, "driver on your system is too old")) {
    return {"the machine's NVIDIA driver is too old for the CUDA of this LibTorch", true};
  }
  if (error.empty() || says(error, "no NVIDIA driver") || says(error, "No CUDA GPUs")) {
    return {"no GPU answers on this machine", false};
  }
  return {"CUDA does not start: " + std::string(error.substr(0, error.find('\n'))), true};
}

}  // namespace capture
