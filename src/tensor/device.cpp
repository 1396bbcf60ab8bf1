#include "capture/tensor/device.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <dlfcn.h>

#include <filesystem>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "no_gpu.h"

namespace capture {

namespace {

/// What LibTorch says when CUDA does not start: it keeps quiet about it when it counts GPUs.
std::string cuda_error() {
  try {
    at::globalContext().lazyInitDevice(at::kCUDA);
  } catch (const c10::Error& error) {
    return error.msg();
  }
  return {};
}

/// Registers LibTorch's CUDA backend. False, with the reason, when this LibTorch has none or no GPU can be used.
bool load_cuda(NoGpu& why) {
  static void* const handle = ::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) {
    why = {"this LibTorch is a CPU-only build (libtorch_cuda.so cannot be loaded)", false};
    return false;
  }
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() == 0) {
    why = no_gpu(cuda_error());
    return false;
  }
  // On Hopper, the backward pass of cuDNN's attention with a mask gives NaN; LibTorch's other kernels take its place.
  at::globalContext().setSDPUseCuDNN(false);
  return true;
}

}  // namespace

at::Device parse_device(const std::string& name) {
  NoGpu why;
  if (name == "auto") {
    if (load_cuda(why)) return {at::kCUDA, 0};
    if (why.is_news) log::warn("this runs on the CPU: {}", why.reason);
    return at::kCPU;
  }
  const auto refuse = [&](const std::string& what) {
    throw UserError({.what = "device \"" + name + "\": " + what, .allowed = "auto, cpu, cuda, cuda:N"});
  };
  if (name == "cpu") return at::Device(at::kCPU);
  const bool indexed = name.starts_with("cuda:") && name.size() > 5 && name.size() < 9 &&
                       name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name != "cuda" && !indexed) refuse("is not known");
  if (!load_cuda(why)) refuse(why.reason);
  const int index = indexed ? std::stoi(name.substr(5)) : 0;
  const int count = at::detail::getCUDAHooks().deviceCount();
  if (index >= count) refuse("this machine has " + std::to_string(count) + " GPUs");
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

void* cuda_function(const std::string& library, const char* function, std::string& reason) {
  const auto programs = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto file = programs.parent_path() / "libexec" / library;
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const found = handle == nullptr ? nullptr : ::dlsym(handle, function);
  if (found == nullptr) {
    const char* const error = ::dlerror();
    reason = error == nullptr ? "it cannot be loaded" : error;
  }
  return found;
}

AutocastScope::AutocastScope(at::Device device, Precision precision)
    : type_(device.type()), active_(precision == Precision::bfloat16) {
  if (!active_) return;
  was_enabled_ = at::autocast::is_autocast_enabled(type_);
  at::autocast::set_autocast_enabled(type_, true);
  at::autocast::set_autocast_dtype(type_, at::kBFloat16);
  at::autocast::increment_nesting();
}

AutocastScope::~AutocastScope() {
  if (!active_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(type_, was_enabled_);
}

}  // namespace capture
