#include "../../src/tensor/no_gpu.h"

#include <gtest/gtest.h>

namespace capture {
namespace {

TEST(NoGpu, TellsOneThatDoesNotStartFromNone) {
  for (const char* none : {"", "No CUDA GPUs are available", "Found no NVIDIA driver on your system. Please check"}) {
    EXPECT_EQ(no_gpu(none).reason, "no GPU answers on this machine");
    EXPECT_FALSE(no_gpu(none).is_news);
  }
  const NoGpu old = no_gpu("The NVIDIA driver on your system is too old (found version 11040).");
  EXPECT_EQ(old.reason, "the machine's NVIDIA driver is too old for the CUDA of this LibTorch");
  EXPECT_TRUE(old.is_news);
  const NoGpu broken =
      no_gpu("Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized\nat …");
  EXPECT_EQ(broken.reason,
            "CUDA does not start: Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized");
  EXPECT_TRUE(broken.is_news);
}

}  // namespace
}  // namespace capture
