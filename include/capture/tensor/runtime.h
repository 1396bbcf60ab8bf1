// How LibTorch and the C library are set up for work on the CPU. Every program calls this before it makes a tensor.
#pragma once

#include <c10/core/DeviceType.h>

#include <cstdint>

namespace capture {

/// What tune_cpu_runtime() decided, for logs and benchmarks.
struct CpuRuntime {
  int64_t threads;
  bool onednn_products;  ///< float32 products run in oneDNN
};

/// Sets, for this process:
/// - the number of threads inside an operation (0: one a core);
/// - memory that stays with the process: a training step frees and takes more than a gigabyte, and a page that the
///   kernel must fill anew costs more than the arithmetic on it. Large tensors ask for huge pages;
/// - float32 products in oneDNN where that is the faster library and computes them in full float32: on a CPU with
///   AVX-512 and its bfloat16 instructions but without AMX. LibTorch takes that route when allowed to use bfloat16 for
///   float32 products, which oneDNN does with AMX alone; a test holds the products to float32's precision.
/// Settings that the environment makes (OMP_NUM_THREADS, THP_MEM_ALLOC_ENABLE) are kept.
CpuRuntime tune_cpu_runtime(int64_t threads = 0);

/// Whether float32 products on such a device may round their inputs, to bfloat16 or TF32, as the process is set up now.
bool float32_products_round(c10::DeviceType type);

}  // namespace capture
