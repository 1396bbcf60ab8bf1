// Weights that a laid-out copy stands in for: their memory is free, and whoever still reads them reads NaN.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "capture/base/memory.h"
#include "capture/model/packed_product.h"
#include "capture/tensor/device.h"
#include "model/small_model.h"

namespace capture {
namespace {

TEST(GivenUpWeights, TakeNoMemoryAndAreNoNumbers) {
  HybridStreamModel model = small_model(small_options(2, 1, 1, 2));
  const PairBatch batch = small_batch({5, 9, 2}, {4, 1, 7});
  model->eval();
  const auto bytes = [&] {
    size_t sum = 0;
    for (const at::Tensor& parameter : model->parameters()) sum += parameter.storage().nbytes();
    return sum;
  };
  const size_t before = bytes();
  const auto count = model->parameters().size();
  model->pack(at::kBFloat16, PackedWeights::given_up);
  EXPECT_LT(bytes(), before / 2);
  EXPECT_EQ(model->parameters().size(), count);
  const at::NoGradGuard no_gradient;
  {
    const AutocastScope autocast(at::kCPU, Precision::bfloat16);
    EXPECT_TRUE(model->embed(packed(batch)).text_pooled.isfinite().all().item<bool>());
  }
  EXPECT_FALSE(model->embed(packed(batch)).text_pooled.isfinite().any().item<bool>()) << "in another type";
  EXPECT_FALSE(model->embed(batch).text_pooled.isfinite().any().item<bool>()) << "padded";
}

TEST(GivenUpWeights, ReturnTheirPagesUnlessAnotherTensorReadsThem) {
  keep_freed_memory();
  constexpr int64_t kMiB = int64_t{1} << 20;
  at::Tensor alone = at::ones({64, kMiB / 4}), shared = at::ones({64, kMiB / 4});
  const at::Tensor other = shared.detach();
  const int64_t before = anonymous_memory();
  give_up(alone);
  // Not all of them: AddressSanitizer's marks of freed memory take an eighth of it.
  EXPECT_LT(anonymous_memory(), before - 48 * kMiB);
  give_up(shared);
  EXPECT_TRUE(other.eq(1).all().item<bool>());
  EXPECT_TRUE(alone.isnan().all().item<bool>());
  EXPECT_EQ(shared.sizes(), other.sizes());
}

}  // namespace
}  // namespace capture
