#include "capture/train/train_step.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "capture/data/loader.h"
#include "capture/model/official.h"
#include "capture/train/meter.h"
#include "capture/train/trainer.h"
#include "distributed/on_ranks.h"
#include "model/own_kernels.h"
#include "small_training.h"

namespace capture {
namespace {

/// A dataset of up to 16 pairs and a model without dropout, trained in different divisions of the same steps.
class TrainStepTest : public ::testing::Test {
 protected:
  TrainStepTest() {
    make_data(16);
    config_ = small_training(/*width=*/16, /*layers=*/1);
    config_.model.dropout = config_.model.attention_dropout = 0;
    config_.loader.workers = 0;
    config_.optimizer.learning_rate = 1e-3;
    // AdamW makes a whole step of any gradient far above this. One that is zero but for rounding, as that of a key's
    // bias, must stay below: its sign is another on another machine.
    config_.optimizer.epsilon = 1e-6;
  }

  /// What a run leaves: every parameter, and the values of each step.
  struct Result {
    NamedTensors weights;
    std::vector<at::Tensor> values;
  };

  void make_data(int64_t pairs) {
    data_.reset();
    write_samples(folder_ / "train.capshard", layout_, pairs);
    data_.emplace(folder_.path());
  }

  /// Trains steps of 8 pairs, `batch_size` at a time on each rank; an epoch's second and last has those that are left.
  Result train(int64_t batch_size, const ProcessGroup& group = {}, int64_t steps = 4) const {
    TrainConfig config = config_;
    config.loader.batch_size = batch_size;
    HybridStreamModel model(config.model, 3);
    model->train();
    Optimizer optimizer(named_parameters_of(*model), config.optimizer);
    TrainStep step(model, optimizer, config, at::kCPU, group);
    Loader loader(*data_, letters_, config.loader, config.masking,
                  {.epochs = steps / 2,
                   .rank = group.rank(),
                   .world_size = group.world_size(),
                   .packed = packs(config, at::kCPU)});
    Result result;
    for (int64_t number = 0; number < steps; ++number) {
      std::vector<Batch> batches;
      for (int64_t pairs = 0; pairs < 8; pairs += batch_size * group.world_size()) {
        batches.push_back(std::move(*loader.next()));
      }
      result.values.push_back(step.run(batches, number, 1.0));
    }
    for (const auto& [name, parameter] : named_parameters_of(*model)) {
      result.weights.emplace_back(name, parameter.detach());
    }
    return result;
  }

  /// Every parameter in one vector.
  static at::Tensor flat(const Result& result) {
    std::vector<at::Tensor> parts;
    for (const auto& [name, weight] : result.weights) parts.push_back(weight.detach().reshape(-1));
    return at::cat(parts);
  }

  /// A model whose gradients travel in several messages of 1 MiB.
  void widen() {
    config_.model = small_training(/*width=*/192, /*layers=*/2).model;
    config_.model.dropout = config_.model.attention_dropout = 0;
    config_.distributed.bucket_megabytes = 1;
    ASSERT_GT(4 * parameter_count(config_.model), 6 << 20);
  }

  std::array<double, 4> validate_model() const {
    HybridStreamModel model(config_.model, 3);
    return validate(model, *data_, letters_, config_, at::kCPU, {}).value();
  }

  static void expect_same(const Result& actual, const Result& expected, double tolerance = 1e-5) {
    for (size_t i = 0; i < expected.values.size(); ++i) {
      const auto losses = [i](const Result& result) { return result.values[i].narrow(0, 0, 4); };
      EXPECT_TRUE(at::allclose(losses(actual), losses(expected), tolerance, /*atol=*/0) &&
                  at::allclose(actual.values[i], expected.values[i], 4 * tolerance, /*atol=*/0))
          << "step " << i << ": " << actual.values[i] << " and " << expected.values[i];
    }
    EXPECT_LT((flat(actual) - flat(expected)).norm().item<double>(), tolerance * flat(expected).norm().item<double>());
    // Each by itself: AdamW makes as large a step of a gradient that is little more than rounding. A bias begins as
    // zeros, and is held against what weights begin as.
    for (size_t i = 0; i < expected.weights.size(); ++i) {
      const auto& [name, weight] = expected.weights[i];
      const double size = std::max(weight.norm().item<double>(), 0.02 * std::sqrt(weight.numel()));
      EXPECT_LT((actual.weights[i].second - weight).norm().item<double>(), 10 * tolerance * size) << name;
    }
  }

  TemporaryFolder folder_;
  const ShardLayout layout_ = small_layout();
  Letters letters_;
  std::optional<Dataset> data_;
  TrainConfig config_;
};

TEST_F(TrainStepTest, RanksTogetherDoWhatOneProcessDoes) {
  constexpr int64_t kSteps = 20;
  for (const auto& [pairs, contrastive] : {std::pair(16, 1.0), {16, 0.0}, {13, 1.0}, {13, 0.0}}) {
    SCOPED_TRACE(std::to_string(pairs) + " pairs");
    make_data(pairs);
    config_.objective.contrastive = contrastive;
    const Result whole = train(8, {}, kSteps);
    for (const int64_t ranks : {2, 4}) {
      on_ranks(ranks, [&](const ProcessGroup& group) { expect_same(train(8 / ranks, group, kSteps), whole, 1e-6); });
    }
    // Two batches a step have other negatives, so one process must cut its steps in the same way.
    const Result halves = train(4, {}, kSteps);
    for (const int64_t ranks : {2, 4}) {
      on_ranks(ranks, [&](const ProcessGroup& group) { expect_same(train(4 / ranks, group, kSteps), halves, 1e-6); });
    }
  }
}

TEST_F(TrainStepTest, RanksDoSoWithTheEngineOfC10d) {
  config_.distributed.reducer = ReductionEngine::c10d;
  config_.masking.region_probability = 0.05;  // some batches have no masked region, some ranks' none that others have
  for (const double contrastive : {1.0, 0.0}) {
    config_.objective.contrastive = contrastive;
    for (const int64_t rows : {8, 4}) {
      const Result whole = train(rows, {}, 20);
      for (const int64_t ranks : {2, 4}) {
        on_ranks(ranks, [&](const ProcessGroup& group) { expect_same(train(rows / ranks, group, 20), whole, 1e-6); });
      }
    }
  }
}

TEST_F(TrainStepTest, RanksDoSoWithGradientsInManyMessages) {
  ASSERT_NO_FATAL_FAILURE(widen());
  for (const auto engine : {ReductionEngine::capture, ReductionEngine::c10d}) {
    config_.distributed.reducer = engine;
    for (const auto& [rows, ranks] : {std::pair(8, 4), {4, 2}}) {
      const Result whole = train(rows, {}, 20);
      on_ranks(ranks, [&](const ProcessGroup& group) { expect_same(train(rows / ranks, group, 20), whole, 1e-6); });
    }
  }
}

TEST_F(TrainStepTest, OverlapAndBucketsChangeNothing) {
  ASSERT_NO_FATAL_FAILURE(widen());
  Result plain;
  for (const auto& [megabytes, overlap] : {std::pair(25, false), {1, false}, {1, true}, {3, true}}) {
    config_.distributed.bucket_megabytes = megabytes;
    config_.distributed.overlap = overlap;
    on_ranks(2, [&](const ProcessGroup& group) {
      const Result result = train(2, group);
      if (group.rank() > 0) return;
      if (plain.weights.empty()) plain = result;
      EXPECT_TRUE(flat(result).equal(flat(plain)));
    });
  }
}

TEST_F(TrainStepTest, AccumulationChangesNothingButTheNegatives) {
  config_.objective.contrastive = 0;
  const Result whole = train(8);
  expect_same(train(4), whole);
  expect_same(train(1), whole);
  on_ranks(2, [&](const ProcessGroup& group) { expect_same(train(2, group), whole); });
}

// Of several processes, whose dropout is not one generator's as that of ranks that are threads, see ranks_test.py.
TEST_F(TrainStepTest, DropoutIsTheSameHoweverAStepIsDivided) {
  config_.objective.contrastive = 0;
  const Result without = train(8);
  config_.model.dropout = config_.model.attention_dropout = 0.2;
  const Result whole = train(8);
  EXPECT_FALSE(whole.values.front().equal(without.values.front()));
  expect_same(train(4), whole);
  expect_same(train(1), whole);
}

TEST_F(TrainStepTest, AStepWithoutMaskedRegionsIsTheSameHoweverItIsDivided) {
  config_.objective.contrastive = 0;
  config_.masking.region_probability = 0.02;
  const Result whole = train(8, {}, /*steps=*/12);
  const auto has_regions = [](const at::Tensor& values) { return values[2].item<float>() > 0; };
  ASSERT_FALSE(std::ranges::is_sorted(whole.values, {}, has_regions)) << "no step without comes after one with";
  expect_same(train(4, {}, 12), whole);
  on_ranks(2, [&](const ProcessGroup& group) { expect_same(train(4, group, 12), whole); });
}

TEST_F(TrainStepTest, PackedBatchesTrainAsPaddedOnesDo) {
  const Result whole = train(8);
  const auto losses = validate_model();
  config_.trainer.packed = false;
  expect_same(train(8), whole);
  const auto padded = validate_model();
  for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(padded[i], losses[i], 1e-5);
}

TEST_F(TrainStepTest, EverythingPacksButGraphs) {
  for (const auto device : {at::kCPU, at::kCUDA}) {
    config_.trainer.packed = false;
    EXPECT_FALSE(packs(config_, device));
    config_.trainer.packed = true;
    EXPECT_TRUE(packs(config_, device));
  }
  config_.trainer.cuda_graph = true;
  EXPECT_TRUE(packs(config_, at::kCPU));  // records none
  EXPECT_FALSE(packs(config_, at::kCUDA));
}

TEST_F(TrainStepTest, NoneOfOurKernelsRunsOnThePlainPath) {
  for (const bool packed : {false, true}) {
    config_.trainer.packed = packed;
    const auto heard = own_kernels([&] {
      train(8);
      validate_model();
    });
    EXPECT_EQ(heard.empty(), !packed) << ::testing::PrintToString(heard);
  }
}

TEST_F(TrainStepTest, AStepWithoutAnythingMaskedIsNoStep) {
  config_.masking.token_probability = config_.masking.region_probability = 0;
  config_.objective.contrastive = 0;
  const Result result = train(4);
  for (const auto& values : result.values) EXPECT_TRUE(values.equal(at::zeros({5})));
}

TEST_F(TrainStepTest, ALossThatIsNotFiniteChangesNoWeight) {
  const Result good = train(8);
  HybridStreamModel fresh(config_.model, 3);
  config_.objective.masked_regions = INFINITY;
  const Result bad = train(8);
  EXPECT_TRUE(flat(bad).equal(flat({named_parameters_of(*fresh), {}})));
  EXPECT_FALSE(flat(good).equal(flat(bad)));
}

TEST_F(TrainStepTest, ValidationIsTheSameWhateverTheBatchesAndRanks) {
  make_data(13);
  HybridStreamModel model(config_.model, 3);
  config_.objective.contrastive = 0;  // its mean does depend on the batches
  config_.loader.batch_size = 16;
  const auto whole = validate(model, *data_, letters_, config_, at::kCPU, {}).value();
  EXPECT_GT(whole[1], 0);
  EXPECT_TRUE(model->is_training());
  on_ranks(2, [&](const ProcessGroup& group) {
    TrainConfig config = config_;
    config.loader.batch_size = 3;
    HybridStreamModel own(config.model, 3);
    const auto parts = validate(own, *data_, letters_, config, at::kCPU, group).value();
    for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(parts[i], whole[i], 1e-5);
  });
}

TEST_F(TrainStepTest, ValidationIsLeftOnEveryRankWhenOneSaysSo) {
  config_.loader.batch_size = 2;
  on_ranks(2, [&](const ProcessGroup& group) {
    HybridStreamModel model(config_.model, 3);
    int asked = 0;
    const auto stopping = [&] {
      ++asked;
      return group.gather(at::full({1}, group.rank() == 1 && asked == 3, at::kInt)).max().item<int>() != 0;
    };
    EXPECT_FALSE(validate(model, *data_, letters_, config_, at::kCPU, group, stopping));
    EXPECT_EQ(asked, 3);
    EXPECT_TRUE(model->is_training());
  });
}

TEST(Meter, SkipsWhatIsNotFiniteAndGoesOnFromItsState) {
  Meter meter;
  EXPECT_TRUE(meter.add({1, 2, 3, 4, 5}, 8));
  EXPECT_FALSE(meter.add({NAN, 2, 3, 4, 5}, 8));
  EXPECT_FALSE(meter.add({1, 2, 3, 4, INFINITY}, 8));
  EXPECT_EQ(meter.skipped_in_a_row(), 2);
  Meter other;
  other.load_state(meter.state());
  EXPECT_TRUE(other.add({3, 2, 3, 4, 5}, 8));
  EXPECT_EQ(other.skipped_in_a_row(), 0);
  EXPECT_EQ(other.means().at("loss"), 2.0);
  EXPECT_EQ(other.means().at("skipped"), 2);
  other.reset();
  EXPECT_TRUE(other.means().at("loss").is_null());
  EXPECT_EQ(other.skipped_in_all(), 2);
}

TEST(RunLength, CountsTheLastBatchOfAnEpochUnlessItIsDropped) {
  TrainConfig config;
  config.loader.batch_size = 10;
  config.trainer.accumulation = 2;
  config.trainer.epochs = 3;
  EXPECT_EQ(length_of(config, 41, 1).batches_per_epoch, 5);
  EXPECT_EQ(length_of(config, 41, 1).steps_per_epoch, 3);
  EXPECT_EQ(length_of(config, 41, 1).total_steps, 9);
  EXPECT_EQ(length_of(config, 41, 2).batches_per_epoch, 3);
  config.loader.drop_last = true;
  EXPECT_EQ(length_of(config, 41, 1).batches_per_epoch, 4);
  EXPECT_THROW(length_of(config, 9, 1), UserError);
  config.trainer.steps = 7;
  EXPECT_EQ(length_of(config, 41, 1).total_steps, 7);
}

}  // namespace
}  // namespace capture
