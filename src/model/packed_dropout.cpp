#include "packed_dropout.h"

#include <ATen/CPUGeneratorImpl.h>

#include <mutex>

namespace capture {

kernels::Dropout draw_dropout(double probability) {
  if (probability == 0) return {};
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return kernels::dropout(probability, at::check_generator<at::CPUGeneratorImpl>(generator)->random64());
}

}  // namespace capture
