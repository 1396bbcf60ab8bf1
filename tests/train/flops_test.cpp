#include "capture/train/flops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "capture/model/hybrid_stream.h"
#include "capture/train/machine.h"

namespace capture {
namespace {

HybridStreamModelOptions odd_model() {
  HybridStreamModelOptions options;
  options.width = 24;
  options.projection_width = 10;
  options.vocabulary_size = 50;
  options.feature_width = 14;
  options.region_outputs = 6;
  options.text = {.layers = 3, .heads = 2, .feed_forward = 20};
  options.image = {.layers = 2, .heads = 2, .feed_forward = 28};
  options.cross = {.layers = 2, .heads = 2, .width = 16};
  options.co_transformer = {.layers = 3, .heads = 2, .positions = 60, .first_region = 20};
  return options;
}

/// Two pairs: 3 tokens and 5 regions, 7 tokens and 2 regions; 4 tokens and 1 region are masked.
Batch two_pairs() {
  Batch batch;
  const auto mask = [](int64_t first, int64_t second) {
    return at::arange(8).unsqueeze(0).lt(at::tensor({first, second}, at::kLong).unsqueeze(1));
  };
  batch.inputs.token_ids = at::zeros({2, 8}, at::kLong);
  batch.inputs.text_mask = mask(3, 7);
  batch.inputs.region_mask = mask(5, 2);
  batch.targets.token_rows = at::zeros({4}, at::kLong);
  batch.targets.region_rows = at::zeros({1}, at::kLong);
  return batch;
}

/// The same from the weights themselves: each matrix is multiplied by as many rows as its place in the model says.
double products_of_parameters(const HybridStreamModelOptions& options) {
  const double tokens = 10, regions = 7, pairs = 2, masked_tokens = 4, masked_regions = 1;
  HybridStreamModel model(options, 1);
  double total = 2 * masked_tokens * static_cast<double>(model->text_embedding->word->weight.numel());
  for (const auto& item : model->named_parameters()) {
    const std::string& name = item.key();
    const auto starts = [&](const char* prefix) { return name.starts_with(prefix); };
    const bool table = starts("text_embedding") || starts("co_position");
    if (item.value().dim() != 2 || table) continue;
    double rows = 0;
    if (starts("region_embedding") || starts("image_stream")) rows = regions;
    if (starts("text_stream")) rows = tokens;
    if (starts("cross")) rows = name.find(".text.") != std::string::npos ? tokens : regions;
    if (starts("co_transformer")) rows = tokens + regions;
    if (starts("co_transformer.2") && name.find("qkv") == std::string::npos) rows = masked_tokens + masked_regions;
    if (starts("text_projection") || starts("region_projection")) rows = pairs;
    if (starts("text_output") || starts("token_head")) rows = masked_tokens;
    if (starts("region_output") || starts("region_head")) rows = masked_regions;
    EXPECT_GT(rows, 0) << name;
    total += 2 * rows * static_cast<double>(item.value().numel());
  }
  const double texts = 9 + 49, images = 25 + 4, crossed = 15 + 14, joint = 64 + 81;
  return total + 4 * (24 * (3 * texts + 2 * images + 3 * joint) + 16 * 2 * 2 * crossed);
}

TEST(Flops, AreTheProductsOfTheWeightsAndTheAttention) {
  EXPECT_DOUBLE_EQ(forward_flops(odd_model(), {}, work_of(two_pairs())), products_of_parameters(odd_model()));
}

TEST(Flops, TrainingAsksForNoGradientOfTheFeatures) {
  const BatchWork work = work_of(two_pairs());
  EXPECT_DOUBLE_EQ(training_flops(odd_model(), {}, work), 3 * forward_flops(odd_model(), {}, work) - 2.0 * 7 * 14 * 24);
}

TEST(Flops, WithoutMaskedObjectivesTheModelStopsAfterItsStreams) {
  PretrainingObjectiveOptions contrast;
  contrast.masked_tokens = contrast.masked_regions = 0;
  HybridStreamModelOptions short_model = odd_model();
  short_model.cross.layers = short_model.co_transformer.layers = 0;
  const BatchWork work = work_of(two_pairs());
  EXPECT_DOUBLE_EQ(forward_flops(odd_model(), contrast, work), forward_flops(short_model, contrast, work));
  EXPECT_LT(forward_flops(short_model, contrast, work), forward_flops(short_model, {}, work));
}

TEST(Flops, APackedBatchIsTheSameWork) {
  Batch packed = two_pairs();
  packed.packed.emplace();
  packed.packed->text_starts = at::tensor({0, 3, 10}, at::kInt);
  packed.packed->region_starts = at::tensor({0, 5, 7}, at::kInt);
  packed.inputs = {};
  EXPECT_DOUBLE_EQ(forward_flops(odd_model(), {}, work_of(packed)),
                   forward_flops(odd_model(), {}, work_of(two_pairs())));
}

TEST(Machine, KnowsGpusByTheWordsOfTheirNames) {
  EXPECT_EQ(known_peak_tflops("NVIDIA H100 80GB HBM3", Precision::bfloat16, false), 989.4);
  EXPECT_EQ(known_peak_tflops("NVIDIA H100 PCIe", Precision::bfloat16, false), 756);
  EXPECT_EQ(known_peak_tflops("NVIDIA A100-SXM4-80GB", Precision::float32, true), 156);
  EXPECT_EQ(known_peak_tflops("NVIDIA A100-SXM4-80GB", Precision::float32, false), 19.5);
  EXPECT_EQ(known_peak_tflops("NVIDIA RTX A4000", Precision::bfloat16, false), 0);
}

TEST(Machine, MeasuresWhatItDoesNotKnow) {
  EXPECT_GT(peak_tflops(at::kCPU, Precision::float32), 0);
  EXPECT_GT(memory_in_use(at::kCPU), 1 << 20);
}

}  // namespace
}  // namespace capture
