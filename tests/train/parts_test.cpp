// What is said of data that does not fit before a run begins.
#include "capture/train/parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "small_training.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

class OpenParts : public ::testing::Test {
 protected:
  OpenParts() {
    config_.model.vocabulary_size = config_.model.feature_width = 0;
    config_.objective.region_objective = RegionObjective::classes;
    config_.tokenizer.file = (folder_ / "vocab.txt").string();
    write_file(config_.tokenizer.file, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n");
    config_.data.train = {shard("train", small_layout())};
    config_.trainer.device = "cpu";
  }

  std::string shard(const std::string& name, const ShardLayout& layout) const {
    const auto path = folder_ / (name + ".capshard");
    write_samples(path, layout, 3);
    return path.string();
  }

  std::string shard_with_classes(int64_t count) const {
    ShardLayout layout = small_layout();
    layout.class_count = count;
    return shard("classes_" + std::to_string(count), layout);
  }

  /// The message when this is validated on, or "".
  std::string refusal(const std::string& validation) const {
    TrainConfig config = config_;
    config.data.validation = {validation};
    return error_of([&] { open_parts(config); });
  }

  const TemporaryFolder folder_;
  TrainConfig config_ = small_training(16, 1);
};

TEST_F(OpenParts, FillsTheSizesFromTheTrainingData) {
  config_.data.validation = {shard_with_classes(3)};
  const TrainingParts parts = open_parts(config_);
  EXPECT_EQ(parts.validation->size(), 3);
  EXPECT_EQ(config_.model.vocabulary_size, 7);
  EXPECT_EQ(config_.model.feature_width, 10);
  EXPECT_EQ(config_.model.region_outputs, 3);
}

TEST_F(OpenParts, ValidationDataWithoutClassesIsRefusedWhereTheyAreWanted) {
  const std::string bare = shard_with_classes(0);
  EXPECT_EQ(refusal(bare), "the configuration: objective.region_objective is classes, but the validation data " + bare +
                               " has no class probabilities; allowed: features");
  config_.objective.masked_regions = 0;
  EXPECT_EQ(refusal(bare), "");
  config_.objective.masked_regions = 1;
  config_.objective.region_objective = RegionObjective::features;
  EXPECT_EQ(refusal(bare), "");
}

TEST_F(OpenParts, ValidationDataWithOtherClassesIsRefused) {
  const std::string others = shard_with_classes(4);
  const std::string message = refusal(others);
  EXPECT_THAT(message, HasSubstr("model.region_outputs is 3, but the validation data " + others + " has 4"));
  EXPECT_THAT(message, HasSubstr("the same options as the training data"));
  config_.objective.region_objective = RegionObjective::features;
  EXPECT_EQ(refusal(others), "");
}

TEST_F(OpenParts, ValidationFeaturesOfAnotherWidthAreRefused) {
  ShardLayout layout = small_layout();
  layout.feature_width = 6;
  EXPECT_THAT(refusal(shard("narrow", layout)), HasSubstr("model.feature_width is 10, but the validation data"));
}

TEST_F(OpenParts, TrainingDataWithoutClassesIsRefusedWhereTheyAreWanted) {
  config_.data.train = {shard_with_classes(0)};
  EXPECT_THAT(error_of([&] { open_parts(config_); }), HasSubstr("the training data"));
}

}  // namespace
}  // namespace capture
