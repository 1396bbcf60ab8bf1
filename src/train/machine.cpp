#include "capture/train/machine.h"

#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "capture/tensor/runtime.h"

namespace capture {

namespace {

struct KnownGpu {
  std::string_view name;  // words of the driver's name for it; the first row that fits decides
  double bfloat16, tf32, float32;
};

/// Vendors' data sheets, dense, 10¹² operations a second. The PCIe and NVL forms run at lower clocks than SXM.
constexpr std::array<KnownGpu, 15> kKnown = {{{"H100 PCIe", 756, 378, 51},
                                              {"H100 NVL", 835, 417.5, 60},
                                              {"H100", 989.4, 494.7, 66.9},
                                              {"H200 NVL", 835.5, 417.5, 60},
                                              {"H200", 989.4, 494.7, 66.9},
                                              {"GH200", 989.4, 494.7, 66.9},
                                              {"B200", 2250, 1125, 75},
                                              {"A100", 312, 156, 19.5},
                                              {"A30", 165, 82, 10.3},
                                              {"A40", 149.7, 74.8, 37.4},
                                              {"A10", 125, 62.5, 31.2},
                                              {"L40S", 362, 183, 91.6},
                                              {"L40", 181, 90.5, 90.5},
                                              {"L4", 121, 60, 30.3},
                                              {"RTX 4090", 165.2, 82.6, 82.6}}};

/// Whether the words stand in the text, and not as a part of others: an "RTX A4000" is no "A40".
bool has_words(std::string_view text, std::string_view words) {
  const size_t at = text.find(words);
  if (at == std::string_view::npos) return false;
  const auto ends_word = [&](size_t place) {
    return place >= text.size() || std::isalnum(static_cast<unsigned char>(text[place])) == 0;
  };
  return (at == 0 || ends_word(at - 1)) && ends_word(at + words.size());
}

/// The driver's name of the machine's first GPU, or "". The driver says it without LibTorch's CUDA headers.
std::string gpu_name() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", ignored)) {
    std::ifstream file(entry.path() / "information");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("Model:")) return line.substr(line.find_first_not_of(" \t", 6));
    }
  }
  return {};
}

double seconds_of_product(const at::Tensor& left, const at::Tensor& right, int64_t repeats) {
  const auto start = std::chrono::steady_clock::now();
  at::Tensor result;
  for (int64_t i = 0; i < repeats; ++i) result = at::mm(left, right);
  result.select(0, 0).select(0, 0).item<float>();  // waits for a GPU
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double known_peak_tflops(std::string_view gpu, Precision precision, bool rounded) {
  for (const KnownGpu& known : kKnown) {
    if (!has_words(gpu, known.name)) continue;
    if (precision == Precision::bfloat16) return known.bfloat16;
    return rounded ? known.tf32 : known.float32;
  }
  return 0;
}

double measured_peak_tflops(at::Device device, Precision precision, int64_t size) {
  const bool cpu = device.is_cpu();
  if (size == 0) size = cpu ? 768 : 4096;
  const int64_t repeats = cpu ? 1 : 10;
  const bool half = precision == Precision::bfloat16;
  const auto type = half ? at::kBFloat16 : at::kFloat;
  const at::Tensor square = at::full({size, size}, 0.5, at::TensorOptions(device).dtype(type));
  seconds_of_product(square, square, 1);
  double fastest = seconds_of_product(square, square, repeats);
  const auto rounds = static_cast<int>(std::clamp(0.1 / fastest, 2.0, 20.0));
  for (int i = 0; i < rounds; ++i) fastest = std::min(fastest, seconds_of_product(square, square, repeats));
  const auto n = static_cast<double>(size);
  const double peak = 2e-12 * n * n * n * static_cast<double>(repeats) / fastest;
  return cpu && half ? std::max(peak, measured_peak_tflops(device, Precision::float32, size)) : peak;
}

double peak_tflops(at::Device device, Precision precision) {
  const bool rounded = float32_products_round(device.type());
  const double known = device.is_cuda() ? known_peak_tflops(gpu_name(), precision, rounded) : 0;
  return known > 0 ? known : measured_peak_tflops(device, precision);
}

int64_t memory_in_use(at::Device device) {
  if (!device.is_cpu()) {
    const auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    return stats.allocated_bytes[0].peak;  // 0: of all pools together
  }
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  file >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace capture
