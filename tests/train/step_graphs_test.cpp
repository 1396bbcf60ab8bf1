#include "capture/train/step_graphs.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "capture/data/loader.h"
#include "capture/tensor/device.h"
#include "capture/train/train_step.h"
#include "capture/train/trainer.h"
#include "capture/train/weight_average.h"
#include "data/letters.h"
#include "data/support.h"
#include "train/tape.h"

namespace capture {
namespace {

/// What a run leaves.
struct GraphedRun {
  std::vector<at::Tensor> values;   // of each step
  std::vector<at::Tensor> weights;  // and their averages
  NamedTensors state;               // of the optimiser
  int64_t recordings = 0;
};

enum class How { plainly, rehearsing, recording };

/// Does all as usual: batches, gradients and rates as for recorded work, but without the recording.
class RehearsingBackend final : public GraphBackend {
 public:
  void rehearse(const std::function<void()>& work) override { work(); }
  std::unique_ptr<RecordedWork> record(const std::function<void()>& work) override {
    struct Again final : RecordedWork {
      explicit Again(std::function<void()> what) : work(std::move(what)) {}
      void repeat() override { work(); }
      std::function<void()> work;
    };
    return std::make_unique<Again>(work);
  }
};

/// 20 pairs with titles of 2 to 32 tokens, in batches of 3, the last of an epoch of 2.
class StepGraphsTest : public ::testing::Test {
 protected:
  StepGraphsTest() {
    write_samples(folder_ / "train.capshard", small_layout(), 20);
    data_.emplace(folder_.path());
    config_.model.width = 16;
    config_.model.projection_width = 8;
    config_.model.vocabulary_size = letters_.vocabulary_size();
    config_.model.feature_width = small_layout().feature_width;
    config_.model.text_positions = 32;
    config_.model.text = config_.model.image = {.layers = 1, .heads = 2, .feed_forward = 16};
    config_.model.cross = {.layers = 1, .heads = 2, .width = 8};
    config_.model.co_transformer = {.layers = 2, .heads = 2, .positions = 48, .first_region = 32};
    config_.loader.max_tokens = 32;
    config_.loader.batch_size = 3;
    config_.loader.workers = 0;
    config_.masking.token_probability = config_.masking.region_probability = 0.3;
    config_.optimizer.learning_rate = 1e-3;
    config_.trainer.packed = false;
  }

  /// Steps `first` to `last` of a run, going on from what `before` left.
  GraphedRun train(How how, int64_t last, const GraphedRun* before = nullptr, int64_t first = 0) {
    HybridStreamModel model(config_.model, 3);
    model->to(device_);
    model->train();
    Optimizer optimizer(named_parameters_of(*model), config_.optimizer);
    if (before != nullptr) take(*before, *model, optimizer);
    WeightAverage average(model, 0.9);
    TrainStep step(model, optimizer, config_, device_, {});
    auto recording = recorder(how);
    if (recording) step.use_graphs(std::move(recording), graphs_);
    const int64_t batches = config_.trainer.accumulation;
    Loader loader(*data_, letters_, config_.loader, config_.masking,
                  {.epochs = 100, .pin_memory = device_.is_cuda(), .packed = packs(config_, device_)});
    for (int64_t i = 0; i < first * batches; ++i) loader.next();
    GraphedRun run;
    for (int64_t number = first; number < last; ++number) {
      std::vector<Batch> parts;
      for (int64_t i = 0; i < batches; ++i) {
        parts.push_back(std::move(*loader.next()));
        if (number == poisoned_) parts.back().inputs.region_features.fill_(std::numeric_limits<float>::quiet_NaN());
        at::Tensor& classes = parts.back().targets.region_classes;
        classes = at::softmax(classes, -1);  // the samples' numbers are no probabilities
      }
      run.values.push_back(step.run(parts, number, 1.0 / static_cast<double>(1 + number)));
      average.update(number + 1);
      if (number + 1 == poisoned_ || number == poisoned_) weights_around_.push_back(flat(*model));
    }
    run.weights = {flat(*model), flat(*average.model())};
    for (const auto& [name, tensor] : optimizer.state()) run.state.emplace_back(name, tensor.clone());
    run.recordings = tape_ == nullptr ? 0 : tape_->recordings;
    tape_ = nullptr;
    return run;
  }

  static at::Tensor flat(const HybridStreamModelImpl& model) {
    std::vector<at::Tensor> parts;
    for (const auto& [name, parameter] : named_parameters_of(model)) parts.push_back(parameter.detach().reshape(-1));
    return at::cat(parts).cpu();
  }

  static void expect_same(const GraphedRun& actual, const GraphedRun& expected, double tolerance) {
    ASSERT_EQ(actual.values.size(), expected.values.size());
    for (size_t i = 0; i < expected.values.size(); ++i) {
      EXPECT_TRUE(at::allclose(actual.values[i], expected.values[i], tolerance, tolerance))
          << "step " << i << ": " << actual.values[i] << " and " << expected.values[i];
    }
    for (size_t i = 0; i < expected.weights.size(); ++i) {
      EXPECT_LE((actual.weights[i] - expected.weights[i]).norm().item<double>(),
                tolerance * expected.weights[i].norm().item<double>());
    }
  }

  static void expect_equal(const GraphedRun& actual, const GraphedRun& expected) {
    ASSERT_EQ(actual.values.size(), expected.values.size());
    for (size_t i = 0; i < expected.values.size(); ++i) {
      EXPECT_TRUE(actual.values[i].equal(expected.values[i])) << i << actual.values[i] << expected.values[i];
    }
    for (size_t i = 0; i < expected.weights.size(); ++i) {
      EXPECT_TRUE(actual.weights[i].equal(expected.weights[i]));
    }
  }

  void without_dropout() { config_.model.dropout = config_.model.attention_dropout = 0; }

  TemporaryFolder folder_;
  Letters letters_;
  std::optional<Dataset> data_;
  TrainConfig config_;
  at::Device device_ = at::kCPU;
  StepGraphOptions graphs_ = {.max_regions = small_layout().max_regions};
  int64_t poisoned_ = -1;                   // a step whose batches are not finite
  std::vector<at::Tensor> weights_around_;  // before it and after it

 private:
  std::unique_ptr<GraphBackend> recorder(How how) {
    if (how == How::plainly) return nullptr;
    if (how == How::rehearsing) return std::make_unique<RehearsingBackend>();
    if (device_.is_cuda()) return open_cuda_graphs(device_);
    auto tape = std::make_unique<TapeBackend>();
    tape_ = tape.get();
    return tape;
  }

  void take(const GraphedRun& before, const HybridStreamModelImpl& model, const Optimizer& optimizer) {
    const at::NoGradGuard no_gradient;
    int64_t start = 0;
    for (const auto& [name, parameter] : named_parameters_of(model)) {
      parameter.copy_(before.weights[0].narrow(0, start, parameter.numel()).view(parameter.sizes()));
      start += parameter.numel();
    }
    const auto state = optimizer.state();
    for (size_t i = 0; i < state.size(); ++i) state[i].second.copy_(before.state[i].second);
  }

  TapeBackend* tape_ = nullptr;
};

TEST_F(StepGraphsTest, GiveWhatPlainStepsGive) {
  constexpr int64_t kSteps = 28;
  without_dropout();
  for (const OptimizerType type : {OptimizerType::adamw, OptimizerType::bert_adam}) {
    config_.optimizer.type = type;
    config_.optimizer.layer_decay = type == OptimizerType::adamw ? 0.9 : 1.0;
    // The gradient of keys' biases is 0 but for rounding, which must not be taken for a direction.
    config_.optimizer.epsilon = type == OptimizerType::adamw ? 1e-8 : 1e-6;
    for (const int64_t accumulation : {1, 3}) {
      config_.trainer.accumulation = accumulation;
      config_.objective.contrastive = accumulation == 1 ? 1.0 : 0.5;
      const GraphedRun recorded = train(How::recording, kSteps);
      expect_same(recorded, train(How::plainly, kSteps), 1e-6);
      EXPECT_GE(recorded.recordings, 3);  // two shapes and the update
    }
  }
}

TEST_F(StepGraphsTest, RepeatBitForBitWhatTheyRehearse) {
  constexpr int64_t kSteps = 21;
  for (const RegionObjective objective : {RegionObjective::features, RegionObjective::classes}) {
    config_.objective.region_objective = objective;
    config_.model.region_outputs = objective == RegionObjective::classes ? small_layout().class_count : 0;
    const GraphedRun recorded = train(How::recording, kSteps);
    expect_equal(recorded, train(How::rehearsing, kSteps));
    config_.trainer.seed += 1;
    EXPECT_FALSE(recorded.values.back().equal(train(How::rehearsing, kSteps).values.back())) << "no dropout is drawn";
  }
}

TEST_F(StepGraphsTest, GoOnExactlyFromWhatACheckpointKeeps) {
  config_.trainer.accumulation = 2;
  const GraphedRun whole = train(How::recording, 24);
  for (const int64_t stop : {1, 13}) {
    const GraphedRun first = train(How::recording, stop);
    const GraphedRun second = train(How::recording, 24, &first, stop);
    for (size_t i = 0; i < second.values.size(); ++i) {
      EXPECT_TRUE(second.values[i].equal(whole.values[static_cast<size_t>(stop) + i])) << i;
    }
    EXPECT_TRUE(second.weights[0].equal(whole.weights[0]));
  }
}

TEST_F(StepGraphsTest, SkipAStepThatIsNotFinite) {
  without_dropout();
  for (const int64_t step : {1, 17}) {  // rehearsed, and repeated
    poisoned_ = step;
    weights_around_.clear();
    const GraphedRun recorded = train(How::recording, 22);
    EXPECT_TRUE(weights_around_.at(0).equal(weights_around_.at(1)));
    const GraphedRun plain = train(How::plainly, 22);
    EXPECT_FALSE(std::isfinite(recorded.values[static_cast<size_t>(step)][0].item<double>()));
    EXPECT_TRUE(recorded.values[static_cast<size_t>(step) + 1].isfinite().all().item<bool>());
    EXPECT_LT((recorded.weights[0] - plain.weights[0]).norm().item<double>(),
              1e-6 * plain.weights[0].norm().item<double>());
  }
}

TEST_F(StepGraphsTest, RecordNoMoreShapesThanTheyMay) {
  without_dropout();
  graphs_.most_recorded = 1;
  graphs_.rehearsals = 0;
  const GraphedRun recorded = train(How::recording, 21);
  EXPECT_EQ(recorded.recordings, 2);  // a shape and the update
  expect_same(recorded, train(How::plainly, 21), 1e-6);
}

TEST_F(StepGraphsTest, ComputeBatchesWithMoreMaskedThanExpectedAsTheyAre) {
  without_dropout();
  config_.loader.batch_size = 10;
  const MaskingOptions masking = config_.masking;
  const GraphedRun plain = train(How::plainly, 6);
  HybridStreamModel model(config_.model, 3);
  model->train();
  Optimizer optimizer(named_parameters_of(*model), config_.optimizer);
  config_.masking.token_probability = 0;  // rows are set aside by what the configuration says
  auto tape = std::make_unique<TapeBackend>();
  const TapeBackend& recorder = *tape;
  StepGraphs graphs(model, optimizer, config_, device_, {.max_regions = 5, .rehearsals = 0}, std::move(tape));
  Loader loader(*data_, letters_, config_.loader, masking, {.epochs = 3});
  for (size_t i = 0; i < plain.values.size(); ++i) {
    const Batch batch = *loader.next();
    EXPECT_GT(batch.targets.token_rows.size(0), 8);
    graphs.add(batch, {});
    EXPECT_TRUE(at::allclose(graphs.update(1.0 / static_cast<double>(1 + i)), plain.values[i], 1e-6, 1e-6)) << i;
  }
  EXPECT_EQ(recorder.recordings, 1);  // the update
}

TEST_F(StepGraphsTest, SayWhyAStepCannotBeRecorded) {
  class BrokenBackend final : public GraphBackend {
   public:
    void rehearse(const std::function<void()>& work) override { work(); }
    std::unique_ptr<RecordedWork> record(const std::function<void()>&) override {
      throw std::runtime_error("out of memory\nand a stack");
    }
  };
  HybridStreamModel model(config_.model, 3);
  Optimizer optimizer(named_parameters_of(*model), config_.optimizer);
  StepGraphs graphs(model, optimizer, config_, device_, {.max_regions = 5, .rehearsals = 0},
                    std::make_unique<BrokenBackend>());
  Loader loader(*data_, letters_, config_.loader, config_.masking);
  const std::string error = error_of([&] { graphs.add(*loader.next(), {}); });
  EXPECT_THAT(error, ::testing::HasSubstr("cannot record a batch of 3 pairs, "));
  EXPECT_THAT(error, ::testing::HasSubstr("out of memory"));
  EXPECT_THAT(error, ::testing::HasSubstr("trainer.cuda_graph"));
  EXPECT_THAT(error, ::testing::Not(::testing::HasSubstr("stack")));
}

TEST(Tape, RepeatsOperationsOnTheSameMemoryAndRefusesToWait) {
  const at::Tensor x = at::ones({2}), sum = at::zeros({2}), drawn = at::zeros({64});
  double factor = 3;
  TapeBackend backend;
  const auto work = backend.record([&] {
    sum.add_(x.mul(factor).view({2, 1}).flatten());
    drawn.copy_(at::dropout(at::ones({64}), 0.5, /*train=*/true));
  });
  EXPECT_TRUE(sum.equal(at::zeros({2}))) << "recording is not doing";
  x.fill_(2);
  factor = 100;
  at::manual_seed(1);
  work->repeat();
  EXPECT_TRUE(sum.equal(at::full({2}, 6.0F))) << "with the host's numbers of then and the device's of now";
  const at::Tensor first = drawn.clone();
  work->repeat();
  EXPECT_TRUE(sum.equal(at::full({2}, 12.0F)));
  EXPECT_FALSE(drawn.equal(first));
  EXPECT_THROW(backend.record([&] { x[0].item<float>(); }), std::runtime_error);
  EXPECT_THROW(backend.record([&] { x.nonzero(); }), std::runtime_error);
}

TEST_F(StepGraphsTest, GiveWhatPlainStepsGive_CUDA) {
  device_ = parse_device("auto");
  if (!device_.is_cuda()) GTEST_SKIP() << "no GPU";
  without_dropout();
  for (const int64_t accumulation : {1, 3}) {
    config_.trainer.accumulation = accumulation;
    expect_same(train(How::recording, 28), train(How::plainly, 28), 1e-4);
  }
}

TEST_F(StepGraphsTest, RepeatWithTheDropoutOfRehearsals_CUDA) {
  device_ = parse_device("auto");
  if (!device_.is_cuda()) GTEST_SKIP() << "no GPU";
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    config_.trainer.precision = precision;
    // Sums of gradients in another order alone may differ.
    const double tolerance = precision == Precision::float32 ? 1e-4 : 2e-2;
    expect_same(train(How::recording, 28), train(How::rehearsing, 28), tolerance);
  }
}

}  // namespace
}  // namespace capture
