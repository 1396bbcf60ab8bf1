// Devices by name, and the scope in which products run in bfloat16.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace capture {

/// "cpu", "cuda", "cuda:1", or "auto" (a GPU if there is one). LibTorch's CUDA library is loaded here, on the first
/// request for a GPU, so that CPU runs never pay for it. UserError when the name is unknown or no such GPU answers.
at::Device parse_device(const std::string& name);

/// `function` of libexec/`library`: code apart from the programs, because it is linked to LibTorch's CUDA library,
/// which parse_device() must have loaded. Null, with the loader's reason, when it is not there.
void* cuda_function(const std::string& library, const char* function, std::string& reason);

/// Whether products run in float32 or, through autocast, in bfloat16.
enum class Precision { float32, bfloat16 };

/// Autocast for this thread while in scope; nothing with float32.
class AutocastScope {
 public:
  AutocastScope(at::Device device, Precision precision);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  at::DeviceType type_;
  bool active_;
  bool was_enabled_ = false;
};

}  // namespace capture
