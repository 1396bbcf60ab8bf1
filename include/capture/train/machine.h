// What the machine can do, to hold a run's throughput against.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string_view>

#include "capture/tensor/device.h"

namespace capture {

/// Dense products a second in 10¹² operations, as the vendor states them for a GPU of this name ("NVIDIA H100 80GB
/// HBM3"); 0 for one that the table lacks. float32 means TF32 where `rounded`, which is what tensor cores take.
double known_peak_tflops(std::string_view gpu, Precision precision, bool rounded);

/// The fastest of a few products of square matrices of this size, timed here and now; 0: one that takes about a tenth
/// of a second in all. For bfloat16 on a CPU, whose instructions for it can be the slower ones, the best of both types.
double measured_peak_tflops(at::Device device, Precision precision, int64_t size = 0);

/// Of one device: from the table, or measured where it has none. On a CPU, of the threads that LibTorch may use.
double peak_tflops(at::Device device, Precision precision);

/// In bytes: what LibTorch has given out on a GPU at most so far, or on a CPU the process's resident memory now.
int64_t memory_in_use(at::Device device);

}  // namespace capture
