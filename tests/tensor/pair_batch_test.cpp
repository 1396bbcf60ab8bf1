#include "capture/tensor/pair_batch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace capture {
namespace {

/// Two pairs: two tokens and one region, three tokens and two regions.
PackedBatch two_pairs() {
  PackedBatch batch;
  batch.token_ids = at::tensor({2, 3, 2, 9, 3}, at::kLong);
  batch.text_starts = at::tensor({0, 2, 5}, at::kInt);
  batch.region_features = at::tensor({0, 0, 1, 2, 0, 0, 3, 5, 5, 9}, at::kFloat).to(at::kHalf).view({5, 2});
  batch.region_locations = at::arange(25, at::kFloat).view({5, 5});
  batch.region_starts = at::tensor({0, 2, 5}, at::kInt);
  batch.max_tokens = 3;
  batch.max_regions = 3;
  return batch;
}

TEST(PackedBatch, IsPaddedToItsLongestPair) {
  const PairBatch batch = padded(to(two_pairs(), at::kCPU), 7);
  EXPECT_TRUE(at::equal(batch.token_ids, at::tensor({2, 3, 7, 2, 9, 3}, at::kLong).view({2, 3})));
  EXPECT_TRUE(at::equal(batch.text_mask, batch.token_ids.ne(7)));
  EXPECT_TRUE(at::equal(batch.region_mask, batch.text_mask));
  EXPECT_TRUE(batch.text_padded);
  EXPECT_TRUE(batch.regions_padded);
  EXPECT_TRUE(at::equal(batch.region_locations[1], at::arange(10, 25, at::kFloat).view({3, 5})));
  EXPECT_TRUE(at::equal(batch.region_locations[0][2], at::zeros({5})));
}

TEST(PackedBatch, WidensHalvesAndFillsInTheGlobalRegions) {
  const PackedBatch wide = to(two_pairs(), at::kCPU);
  EXPECT_EQ(wide.region_features.dtype(), at::kFloat);
  const at::Tensor expected = at::tensor({1, 2, 1, 2, 4, 7, 3, 5, 5, 9}, at::kFloat).view({5, 2});
  EXPECT_TRUE(at::equal(wide.region_features, expected));
  EXPECT_EQ(two_pairs().region_features[0][0].item<float>(), 0.0F);
}

TEST(PackedBatch, MovesTargetsToTheirPaddedRows) {
  MaskedTargets targets;
  targets.token_rows = at::tensor({1, 3, 4}, at::kLong);
  targets.region_rows = at::tensor({1, 4}, at::kLong);
  const MaskedTargets rows = padded(targets, two_pairs());
  EXPECT_TRUE(at::equal(rows.token_rows, at::tensor({1, 4, 5}, at::kLong)));
  EXPECT_TRUE(at::equal(rows.region_rows, at::tensor({1, 5}, at::kLong)));
}

TEST(PairBatch, WidensHalvesAndFillsInTheGlobalRegions) {
  PairBatch batch;
  batch.region_features = at::tensor({0, 0, 1, 2, 0, 0, 0, 0, 3, 5, 5, 9}, at::kFloat).to(at::kHalf).view({2, 3, 2});
  batch.region_mask = at::tensor({1, 1, 0, 1, 1, 1}, at::kLong).to(at::kBool).view({2, 3});
  const PairBatch wide = to(batch, at::kCPU);
  const at::Tensor expected = at::tensor({1, 2, 1, 2, 0, 0, 4, 7, 3, 5, 5, 9}, at::kFloat).view({2, 3, 2});
  EXPECT_TRUE(at::equal(wide.region_features, expected));
}

TEST(PairBatch, LeavesWideFeaturesAlone) {
  PairBatch batch;
  batch.region_features = at::rand({2, 3, 2});
  batch.region_mask = at::ones({2, 3}, at::kBool);
  EXPECT_TRUE(to(batch, at::kCPU).region_features.is_same(batch.region_features));
}

}  // namespace
}  // namespace capture
