#include "capture/tensor/runtime.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace capture {
namespace {

TEST(CpuRuntime, ProductsKeepFloat32Precision) {
  tune_cpu_runtime();
  at::manual_seed(1);
  // Sums of 400 products, about 20 in size: float32 is off by 1e-4, TF32 (11 bits) by 1e-2, bfloat16 (8 bits) by 1e-1.
  const at::Tensor a = at::randn({300, 400});
  const at::Tensor b = at::randn({400, 200});
  const at::Tensor exact = at::matmul(a.to(at::kDouble), b.to(at::kDouble));
  const at::Tensor bias = at::randn({200});
  EXPECT_LT((at::matmul(a, b) - exact).abs().max().item<double>(), 1e-3);
  EXPECT_LT((at::linear(a, b.t().contiguous(), bias) - exact - bias).abs().max().item<double>(), 1e-3);
  const at::Tensor batched = at::matmul(a.expand({3, 300, 400}), b.expand({3, 400, 200}));
  EXPECT_LT((batched[1] - exact).abs().max().item<double>(), 1e-3);
}

TEST(CpuRuntime, TakesTheThreadsItIsGiven) {
  EXPECT_EQ(tune_cpu_runtime(1).threads, 1);
  EXPECT_EQ(at::get_num_threads(), 1);
}

}  // namespace
}  // namespace capture
