#include "capture/train/checkpoint_writer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>

#include "capture/tensor/device.h"
#include "capture/tensor/safetensors.h"
#include "common/testing.h"

namespace capture {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointWriterTest : public ::testing::TestWithParam<bool> {
 protected:
  /// A checkpoint of what the weights are now.
  CheckpointJob job(int64_t step, std::function<void()> first = {}) const {
    return {.step = step,
            .files = {{"model.safetensors", {{"w", weights_}}}, {"optimizer.safetensors", {{"m", weights_ * 2}}}},
            .state = {{"note", step}},
            .keep_last = 2,
            .first = std::move(first)};
  }

  const testing::Folder run_;
  const fs::path folder_ = run_.path("checkpoints");
  CheckpointStore store_{folder_};
  at::Tensor weights_ = at::ones({3000});
};

INSTANTIATE_TEST_SUITE_P(ForegroundAndBackground, CheckpointWriterTest, ::testing::Bool());

TEST_P(CheckpointWriterTest, KeepsTheNewestAndTheBest) {
  CheckpointWriter writer(store_, GetParam());
  for (const int64_t step : {1, 2, 3, 4}) {
    CheckpointJob next = job(step);
    next.is_best = step == 1;
    writer.save(std::move(next));
  }
  writer.wait();
  EXPECT_FALSE(writer.take_failure());
  EXPECT_EQ(writer.last_saved(), 4);
  EXPECT_THAT(store_.steps(), ElementsAre(1, 3, 4));
  EXPECT_EQ(store_.best(), 1);
}

TEST_P(CheckpointWriterTest, AFailureIsToldOnceAndTheNextSaveIsTried) {
  CheckpointWriter writer(store_, GetParam());
  writer.save(job(1));
  writer.wait();
  writer.save(job(2, [] { throw std::bad_alloc(); }));
  writer.wait();
  EXPECT_THROW(writer.take_failure(), std::bad_alloc) << "what is no UserError is not for the user to mend";

  CheckpointJob doomed = job(3);
  doomed.files[1].name = std::string(300, 'x');  // no file system has names as long
  writer.save(std::move(doomed));
  writer.wait();
  const auto failure = writer.take_failure();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->step, 3);
  EXPECT_THAT(failure->what, HasSubstr("File name too long"));
  EXPECT_FALSE(writer.take_failure());
  EXPECT_EQ(writer.last_saved(), 1);
  EXPECT_FALSE(fs::exists(folder_ / "step_3.writing"));

  writer.save(job(4));
  writer.wait();
  EXPECT_EQ(writer.last_saved(), 4);
  EXPECT_THAT(store_.steps(), ElementsAre(1, 4));
}

TEST_P(CheckpointWriterTest, ItsCallerCanDoOtherThingsUntilAllIsWritten) {
  CheckpointWriter writer(store_, GetParam());
  std::latch disk(1);
  writer.save(job(1, [&] { disk.wait(); }));
  EXPECT_TRUE(writer.is_busy());
  EXPECT_FALSE(writer.wait_for(std::chrono::milliseconds(1)));
  disk.count_down();
  EXPECT_TRUE(writer.wait_for(std::chrono::hours(1)));
  EXPECT_THAT(store_.steps(), ElementsAre(1));
}

TEST(CheckpointWriter, SavesTheMomentOfTheCall) {
  const testing::Folder run;
  const CheckpointStore store(run.path("checkpoints"));
  at::Tensor weights = at::ones({3000});
  const auto job = [&](int64_t step, std::function<void()> first) -> CheckpointJob {
    return {.step = step,
            .files = {{"model.safetensors", {{"w", weights}}}, {"optimizer.safetensors", {{"m", weights}}}},
            .keep_last = 9,
            .first = std::move(first)};
  };
  const auto saved = [&](int64_t step) {
    return SafetensorsFile(open_checkpoint(store.path_of(step)).model()).tensor("w").sum().item<float>();
  };
  {
    CheckpointWriter writer(store, true);
    for (const int64_t step : {1, 2}) {
      std::latch trained_on(1);
      writer.save(job(step, [&] { trained_on.wait(); }));
      EXPECT_TRUE(writer.is_busy());
      EXPECT_FALSE(writer.wait_for(std::chrono::milliseconds(1)));
      weights.add_(1);
      trained_on.count_down();
      EXPECT_TRUE(writer.wait_for(std::chrono::hours(1)));
      EXPECT_FALSE(writer.is_busy());
    }
    writer.save(job(3, {}));
  }  // waits for the third
  EXPECT_EQ(saved(1), 3000);
  EXPECT_EQ(saved(2), 6000);
  EXPECT_EQ(saved(3), 9000);
}

/// A tensor of a copy's first file.
at::Tensor copied(Snapshot& snapshot, const testing::Folder& folder, const std::string& name) {
  const std::string path = folder.path("copy.safetensors");
  snapshot.files().at(0).image.write(path);
  return SafetensorsFile(path).tensor(name).clone();
}

TEST(Snapshot, UsesItsMemoryAgain) {
  const testing::Folder folder;
  at::Tensor weights = at::ones({3000});
  const auto files = [&](int64_t size) -> std::vector<TensorFile> {
    return {{"model.safetensors", {{"w", weights}, {"b", at::ones({2, size}).t()}}},
            {"optimizer.safetensors", {{"m", weights}}}};
  };
  Snapshot snapshot;
  snapshot.prepare(files(3));
  const auto at = [&](size_t file) { return snapshot.files().at(file).image.bytes().data(); };
  const std::byte* const before = at(0);
  snapshot.take(files(3));
  EXPECT_EQ(at(0), before);
  weights.fill_(2);
  EXPECT_TRUE(copied(snapshot, folder, "w").equal(at::ones({3000})));
  snapshot.take(files(3));
  EXPECT_EQ(at(0), before);
  EXPECT_TRUE(copied(snapshot, folder, "w").equal(weights));
  snapshot.take(files(5));
  EXPECT_EQ(copied(snapshot, folder, "b").size(0), 5);
  ASSERT_EQ(snapshot.files().size(), 2U);
  snapshot.take({files(5)[0]});
  EXPECT_EQ(snapshot.files().size(), 1U);
}

TEST(Snapshot, SaysWhatToDoWhereThereIsNoMemoryForIt) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer ends a program that asks for so much";
#endif
  const testing::Folder run;
  const CheckpointStore store(run.path("checkpoints"));
  CheckpointWriter writer(store, true);
  const std::vector<TensorFile> vast = {{"model.safetensors", {{"w", at::zeros({1}).expand({int64_t{1} << 50})}}}};
  const auto said = testing::error_of([&] { writer.prepare(vast); });
  EXPECT_THAT(said, HasSubstr("the copy of model.safetensors that checkpoints are written from needs 4294967296 MiB"));
  EXPECT_THAT(said, HasSubstr("set trainer.checkpoint_in_background to false"));
  EXPECT_EQ(testing::error_of([&] { writer.save({.step = 1, .files = vast}); }), said) << "also at the first save";
  EXPECT_TRUE(store.steps().empty());
}

TEST(CheckpointWriter, PreparingWaitsForNoSave) {
  const testing::Folder run;
  const CheckpointStore store(run.path("checkpoints"));
  const std::vector<TensorFile> files = {{"model.safetensors", {{"w", at::ones({3000})}}},
                                         {"optimizer.safetensors", {{"m", at::ones({3000})}}}};
  std::latch disk(1);
  CheckpointWriter writer(store, true);
  writer.save({.step = 1, .files = files, .first = [&] { disk.wait(); }});
  writer.prepare(files);
  EXPECT_TRUE(writer.is_busy());
  disk.count_down();
  writer.wait();
  EXPECT_THAT(store.steps(), ElementsAre(1));
}

TEST(Snapshot, OfAGpuIsQueuedBehindItsWork_CUDA) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  const testing::Folder folder;
  at::Tensor weights = at::ones({1 << 20}, gpu);
  Snapshot snapshot;
  snapshot.take({{"model.safetensors", {{"w", weights}}}});
  weights.fill_(2);
  EXPECT_EQ(copied(snapshot, folder, "w").sum().item<float>(), 1 << 20);
}

}  // namespace
}  // namespace capture
