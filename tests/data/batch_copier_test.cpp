#include "capture/data/batch_copier.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <utility>

#include "capture/tensor/device.h"

namespace capture {
namespace {

Batch numbered_batch(int64_t number, bool pinned) {
  const auto options = at::TensorOptions().pinned_memory(pinned);
  Batch batch;
  batch.inputs.token_ids = at::full({4, 6}, number, options.dtype(at::kLong));
  batch.inputs.text_mask = at::ones({4, 6}, options.dtype(at::kBool));
  batch.inputs.region_features = at::full({4, 5, 1024}, number, options.dtype(at::kFloat));
  batch.inputs.region_locations = at::ones({4, 5, 5}, options.dtype(at::kFloat));
  batch.inputs.region_mask = at::ones({4, 5}, options.dtype(at::kBool));
  batch.targets.token_rows = at::ones({2}, options.dtype(at::kLong));
  batch.targets.token_ids = at::ones({2}, options.dtype(at::kLong));
  batch.targets.region_rows = at::ones({2}, options.dtype(at::kLong));
  batch.targets.region_features = at::ones({2, 1024}, options.dtype(at::kFloat));
  return batch;
}

Batch packed_batch(bool pinned) {
  Batch batch = numbered_batch(7, pinned);
  batch.packed = packed(std::exchange(batch.inputs, {}));
  if (!pinned) return batch;
  for (at::Tensor* tensor : {&batch.packed->token_ids, &batch.packed->text_starts, &batch.packed->region_features,
                             &batch.packed->region_locations, &batch.packed->region_starts}) {
    *tensor = tensor->pin_memory();
  }
  return batch;
}

TEST(BatchCopier, LeavesBatchesOnACpuWhereTheyAre) {
  Batch batch = numbered_batch(7, false);
  const void* const features = batch.inputs.region_features.const_data_ptr();
  BatchCopier(at::kCPU).move(batch);
  EXPECT_EQ(batch.inputs.region_features.const_data_ptr(), features);
}

TEST(BatchCopier, PackedBatchesArriveOnAGpu_CUDA) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  const PackedBatch expected = *packed_batch(false).packed;
  Batch batch = packed_batch(true);
  BatchCopier(gpu).move(batch);
  const PackedBatch& actual = *batch.packed;
  for (const auto& [there, here] :
       {std::pair(actual.token_ids, expected.token_ids), std::pair(actual.text_starts, expected.text_starts),
        std::pair(actual.region_features, expected.region_features),
        std::pair(actual.region_locations, expected.region_locations),
        std::pair(actual.region_starts, expected.region_starts)}) {
    EXPECT_EQ(there.device(), gpu);
    EXPECT_TRUE(there.cpu().equal(here));
  }
  EXPECT_EQ(batch.targets.token_rows.device(), gpu);
}

TEST(BatchCopier, BatchesArriveWholeOnAGpu_CUDA) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  const BatchCopier copier(gpu);
  at::Tensor sums = at::zeros({}, at::TensorOptions(gpu));
  double expected = 0;
  for (int64_t number = 1; number <= 200; ++number) {
    Batch batch = numbered_batch(number, true);
    copier.move(batch);
    EXPECT_EQ(batch.inputs.region_features.device(), gpu);
    EXPECT_EQ(batch.targets.token_rows.device(), gpu);
    EXPECT_FALSE(batch.targets.region_classes.defined());
    // Enough to keep the GPU busy while the next batches are copied.
    const at::Tensor rows = batch.inputs.region_features.flatten(0, 1);
    for (int i = 0; i < 20; ++i) at::matmul(rows, rows.t());
    sums += batch.inputs.region_features.mean() + batch.inputs.token_ids.to(at::kFloat).mean();
    expected += 2.0 * static_cast<double>(number);
  }
  EXPECT_EQ(sums.item<double>(), expected);
}

}  // namespace
}  // namespace capture
