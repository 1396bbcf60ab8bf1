// Training steps on a GPU, where there is one.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "capture/tensor/device.h"
#include "capture/train/profile.h"
#include "capture/train/train_step.h"
#include "capture/train/trainer.h"
#include "common/testing.h"
#include "small_training.h"

namespace capture {
namespace {

/// With packed batches, and with padded ones.
class GpuStepTest : public ::testing::TestWithParam<bool> {
 protected:
  GpuStepTest() {
    config_.trainer.packed = GetParam();
    write_samples(folder_ / "train.capshard", small_layout(), 16);
    data_.emplace(folder_.path());
    config_.loader.batch_size = 8;
    config_.optimizer.learning_rate = 1e-3;
  }

  /// The values of `count` steps of one batch each; `profiler` may be null.
  std::vector<at::Tensor> train(at::Device device, int64_t count, StepProfiler* profiler = nullptr) const {
    HybridStreamModel model(config_.model, 3);
    model->recompute(config_.trainer.recompute);
    model->to(device);
    model->train();
    Optimizer optimizer(named_parameters_of(*model), config_.optimizer);
    TrainStep step(model, optimizer, config_, device, {});
    Loader loader(*data_, letters_, config_.loader, config_.masking,
                  {.epochs = count, .pin_memory = device.is_cuda(), .packed = packs(config_, device)});
    std::vector<at::Tensor> values;
    for (int64_t number = 0; number < count; ++number) {
      const auto run = [&] {
        std::vector<Batch> batches;
        batches.push_back(std::move(*loader.next()));
        values.push_back(step.run(std::move(batches), number, 1.0));
      };
      profiler == nullptr ? run() : profiler->step(run);
    }
    for (auto& value : values) value = value.cpu();
    return values;
  }

  TemporaryFolder folder_;
  Letters letters_;
  std::optional<Dataset> data_;
  TrainConfig config_ = small_training(/*width=*/32, /*layers=*/2);
};

INSTANTIATE_TEST_SUITE_P(Forms, GpuStepTest, ::testing::Bool(),
                         [](const auto& form) { return form.param ? "Packed_CUDA" : "Padded_CUDA"; });

TEST_P(GpuStepTest, GivesTheLossesOfTheCpu) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  config_.model.dropout = config_.model.attention_dropout = 0;
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    config_.trainer.precision = precision;
    const auto expected = train(at::kCPU, 4);
    const auto actual = train(gpu, 4);
    const double tolerance = precision == Precision::float32 ? 1e-3 : 3e-2;
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(at::allclose(actual[i], expected[i], tolerance, 0.1 * tolerance))
          << i << ": " << actual[i] << expected[i];
    }
  }
}

TEST_P(GpuStepTest, RecomputesWithTheSameDropout) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  config_.trainer.precision = Precision::bfloat16;
  const auto expected = train(gpu, 4);
  config_.trainer.recompute = Recompute::all;
  const auto actual = train(gpu, 4);
  // Sums of gradients in another order alone may differ.
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(at::allclose(actual[i], expected[i], 1e-2, 1e-3)) << i << ": " << actual[i] << expected[i];
  }
}

TEST_P(GpuStepTest, NeverWaitsForTheGpu) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  const testing::Folder output;
  for (const Recompute recompute : {Recompute::none, Recompute::all}) {
    config_.trainer.recompute = recompute;
    config_.trainer.precision = Precision::bfloat16;
    {
      StepProfiler profiler(4, gpu, output.path("trace.json"));
      train(gpu, StepProfiler::kWarmUp + 4, &profiler);
    }
    const Json trace = read_json(output.path("trace.json")).root;
    EXPECT_TRUE(shows_gpu(trace));
    EXPECT_TRUE(waits_in(trace).empty());
  }
}

}  // namespace
}  // namespace capture
