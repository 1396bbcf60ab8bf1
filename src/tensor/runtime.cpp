#include "capture/tensor/runtime.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <cstdlib>

#include "capture/base/memory.h"

namespace capture {

namespace {

void keep_memory() {
  keep_freed_memory();
  ::setenv("THP_MEM_ALLOC_ENABLE", "1", /*overwrite=*/0);
}

/// Whether oneDNN, when allowed to, really computes float32 products in bfloat16.
bool has_amx() {
#ifdef __x86_64__
  return __builtin_cpu_supports("amx-tile") != 0;
#else
  return true;
#endif
}

bool onednn_computes_float32_faster() {
#ifdef __x86_64__
  return at::hasMKLDNN() && __builtin_cpu_supports("avx512bf16") != 0 && !has_amx();
#else
  return false;
#endif
}

}  // namespace

CpuRuntime tune_cpu_runtime(int64_t threads) {
  keep_memory();
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
  const bool onednn = onednn_computes_float32_faster();
  if (onednn) {
    at::globalContext().setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::MATMUL,
                                            at::Float32Precision::BF16);
  }
  return {.threads = at::get_num_threads(), .onednn_products = onednn};
}

bool float32_products_round(c10::DeviceType type) {
  const bool cpu = type == c10::DeviceType::CPU;
  const auto backend = cpu ? at::Float32Backend::MKLDNN : at::Float32Backend::CUDA;
  const at::Float32Precision precision = at::globalContext().float32Precision(backend, at::Float32Op::MATMUL);
  const bool allowed = precision == at::Float32Precision::BF16 || precision == at::Float32Precision::TF32;
  return allowed && (!cpu || has_amx());
}

}  // namespace capture
