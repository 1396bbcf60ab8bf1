// What tests of the loader share: a small dataset, and batches compared bit for bit.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

#include "capture/data/loader.h"
#include "letters.h"
#include "support.h"

namespace capture {

inline constexpr int64_t kSamples = 23;

class LoadingTest : public ::testing::Test {
 protected:
  LoadingTest() {
    write_samples(folder / "a.capshard", layout, 15);
    write_samples(folder / "b.capshard", layout, kSamples - 15, 15);
    dataset.emplace(folder.path());
  }

  std::vector<Batch> load(const LoaderOptions& options, std::optional<MaskingOptions> masking = MaskingOptions{},
                          LoaderPlan plan = {}) const {
    capture::Loader loader(*dataset, letters, options, masking, plan);
    std::vector<Batch> batches;
    while (auto batch = loader.next()) batches.push_back(std::move(*batch));
    EXPECT_FALSE(loader.next().has_value());
    return batches;
  }

  TemporaryFolder folder;
  ShardLayout layout = small_layout();
  Letters letters;
  std::optional<Dataset> dataset;
};

inline std::vector<at::Tensor> tensors_of(const Batch& batch) {
  const PairBatch& inputs = batch.inputs;
  const MaskedTargets& targets = batch.targets;
  EXPECT_FALSE(targets.token_count.defined() || targets.region_count.defined()) << "a loader fills nothing up";
  return {inputs.token_ids,        inputs.text_mask,      inputs.region_features, inputs.region_locations,
          inputs.region_mask,      targets.token_rows,    targets.token_ids,      targets.region_rows,
          targets.region_features, targets.region_classes};
}

inline void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.pairs, b.pairs);
  EXPECT_EQ(a.samples, b.samples);
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.index, b.index);
  EXPECT_EQ(a.inputs.text_padded, b.inputs.text_padded);
  EXPECT_EQ(a.inputs.regions_padded, b.inputs.regions_padded);
  const auto left = tensors_of(a);
  const auto right = tensors_of(b);
  for (size_t i = 0; i < left.size(); ++i) EXPECT_TRUE(at::equal(left[i], right[i])) << "tensor " << i;
}

inline void expect_equal(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) expect_equal(a[i], b[i]);
}

}  // namespace capture
