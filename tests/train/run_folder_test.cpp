#include "capture/train/run_folder.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "common/nobody.h"
#include "common/testing.h"

namespace capture {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Property;
using ::testing::Throws;

/// The state of a checkpoint that 4 processes wrote with batches of 6.
const Json kWrittenByFour = {{"world_size", 4}, {"config", {{"loader", {{"batch_size", 6}}}}}};

auto refusal(const std::string& what, const std::string& allowed) {
  return Throws<UserError>(Property(&UserError::what, AllOf(HasSubstr(what), HasSubstr(allowed))));
}

TEST(RunFolder, GoesOnWithOtherProcessesWhereTheirBatchesTogetherAreAsLarge) {
  EXPECT_NO_THROW(compare_processes(kWrittenByFour, 24, 1));
  EXPECT_NO_THROW(compare_processes(kWrittenByFour, 3, 8));
  EXPECT_THAT([] { compare_processes(kWrittenByFour, 6, 1); }, refusal("6 on each of 1", "loader.batch_size = 24"));
  EXPECT_THAT([] { compare_processes(kWrittenByFour, 6, 2); },
              refusal("written by 4 with 6", "loader.batch_size = 12"));
  EXPECT_THAT([] { compare_processes(kWrittenByFour, 5, 5); }, refusal("5 on each of 5", "divides 24"));
}

TEST(RunFolder, SweepsWhatAKilledProcessHadBegunToWrite) {
  const testing::Folder folder;
  const std::string run = folder.path("run");
  make_folder(run);
  folder.file("run/config.resolved.json.part-1-0", "{");
  RunFolder(run, "never").open();  // it had not become a run
  EXPECT_TRUE(std::filesystem::is_empty(run));
  folder.file("run/config.resolved.json", "{}");
  folder.file("run/metrics.jsonl.part-1-2", "{");
  RunFolder(run, "auto").open();
  EXPECT_FALSE(std::filesystem::exists(run + "/metrics.jsonl.part-1-2"));
  make_folder(folder.path("other"));
  folder.file("other/letter.part-1-0", "dear");
  EXPECT_THAT([&] { RunFolder(folder.path("other"), "auto"); }, refusal("no run folder", "--output"));
}

TEST(RunFolder, SweepsItsOwnFilesAlone) {
  const testing::Folder folder;
  make_folder(folder.path("run"));
  const std::vector<std::string> kept = {"config.resolved.json", "notes.part-1.txt", "notes.part-one-1", "trace.json"};
  for (const auto& name : kept) folder.file("run/" + name, "{}");
  for (const auto& name :
       {"metrics.jsonl.part-12-0", "trace.json.part", "trace.json.part.tmp", "trace.json.part-3-4"}) {
    folder.file(std::string("run/") + name, "{");
  }
  RunFolder(folder.path("run"), "auto").open();
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path("run"))) {
    left.push_back(entry.path().filename());
  }
  EXPECT_THAT(left, ::testing::UnorderedElementsAreArray(kept));
}

void save(const testing::Folder& folder, const std::string& run, int64_t step) {
  const NamedTensors tensors = {{"w", at::ones({3})}};
  CheckpointStore(folder.path(run + "/checkpoints"))
      .save(step, {{"model.safetensors", tensors}, {"optimizer.safetensors", tensors}}, Json::object());
  folder.file(run + "/config.resolved.json", "{}");
}

/// Opens a run as one that trains does, which is then killed before it saves anything.
int64_t begin(const testing::Folder& folder, const std::string& run, const std::string& resume) {
  RunFolder opened(folder.path(run), resume);
  opened.open();
  folder.file(run + "/config.resolved.json", "{}");
  return opened.start() ? opened.start()->step : -1;
}

TEST(RunFolder, KnowsTheCommandThatBeganItFromAnotherRun) {
  const testing::Folder folder;
  save(folder, "other", 5);
  const std::string other = folder.path("other");
  EXPECT_EQ(begin(folder, "run", other), 5);
  save(folder, "other", 6);
  EXPECT_EQ(begin(folder, "run", other), 5) << "begun again from where it was begun";
  EXPECT_EQ(begin(folder, "run", "auto"), 5);
  save(folder, "run", 7);
  std::filesystem::rename(other, folder.path("gone"));
  EXPECT_EQ(begin(folder, "run", other + "/"), 7);
  EXPECT_EQ(begin(folder, "run", "auto"), 7);
  EXPECT_EQ(begin(folder, "run", other), 7);
  EXPECT_EQ(begin(folder, "run", folder.path("run/checkpoints/step_7")), 7);
  EXPECT_EQ(begin(folder, "run", other), 7);
  EXPECT_THAT([&] { RunFolder(folder.path("run"), folder.path("gone")); },
              refusal("run: holds a run of its own", "gone/checkpoints/step_6 would overwrite"));
}

TEST(RunFolder, IsNotBegunAgainFromAnotherCheckpointThanItWas) {
  const testing::Folder folder;
  save(folder, "other", 5);
  const std::string other = folder.path("other");
  begin(folder, "run", other);
  save(folder, "other", 6);
  std::filesystem::remove_all(other + "/checkpoints/step_5");
  for (const std::string& resume : {other, std::string("auto")}) {
    EXPECT_THAT([&] { RunFolder(folder.path("run"), resume); },
                refusal("run: has no checkpoint of its own yet", "step_5; choose another --output"));
  }
}

TEST(RunFolder, StartsFromTheCheckpointThatALinkLedToWhenItWasVerified) {
  const testing::Folder folder;
  save(folder, "other", 5);
  const CheckpointStore other(folder.path("other/checkpoints"));
  other.set_best(5);
  const RunFolder run(folder.path("run"), folder.path("other/checkpoints/best"));
  EXPECT_EQ(run.start()->folder.filename(), "step_5");
}

TEST(RunFolder, IsNotBegunFromAnotherWhereItsFirstProcessWasKilledAndTheNextStartsAnew) {
  const testing::Folder folder;
  save(folder, "other", 5);
  const std::string other = folder.path("other");
  begin(folder, "early", other);
  std::filesystem::remove(folder.path("early/config.resolved.json"));
  EXPECT_EQ(begin(folder, "early", "never"), -1);
  EXPECT_THAT([&] { RunFolder(folder.path("early"), other); }, refusal("holds a run of its own", "step_5"));
}

TEST(RunFolder, SaysWhereItMayNotLook) {
  const testing::Folder folder;
  save(folder, "secret/run", 5);
  std::filesystem::permissions(folder.path(""), std::filesystem::perms(0755));
  std::filesystem::permissions(folder.path("secret"), std::filesystem::perms::none);
  {
    const testing::Nobody nobody;
    const std::string run = folder.path("secret/run");
    EXPECT_THAT([&] { RunFolder(run, "auto").open(); }, refusal("run/checkpoints: cannot look", "Permission denied"));
    EXPECT_THAT([&] { RunFolder(folder.path("secret"), "never"); },
                refusal("secret: cannot look", "Permission denied"));
    EXPECT_THAT([&] { RunFolder(folder.path("new"), run); }, refusal("secret/run/state.json", "Permission denied"));
  }
  std::filesystem::permissions(folder.path("secret"), std::filesystem::perms(0755));
}

TEST(RunFolder, LeavesAChangedBatchOfTheSameProcessesToTheWarning) {
  EXPECT_NO_THROW(compare_processes(kWrittenByFour, 7, 4));
}

TEST(RunFolder, KeepsCheckpointsOfWhichNoneIsWhole) {
  const testing::Folder folder;
  make_folder(folder.path("run/checkpoints/step_3"));
  folder.file("run/config.resolved.json", "{}");
  folder.file("run/checkpoints/step_3/state.json", "");
  EXPECT_THAT([&] { RunFolder(folder.path("run"), "auto"); },
              refusal("run: holds no checkpoint that is whole", "run/checkpoints to begin again"));
  EXPECT_TRUE(std::filesystem::exists(folder.path("run/checkpoints/step_3/state.json")));
}

TEST(RunFolder, BelongsToOneProcessAtATime) {
  const testing::Folder folder;
  {
    RunFolder first(folder.path("run"), "never");
    RunFolder second(folder.path("run"), "never");
    first.open();
    EXPECT_THAT([&] { second.open(); }, refusal("another process is training in the folder", "choose another folder"));
  }
  RunFolder(folder.path("run"), "never").open();
}

TEST(RunFolder, KnowsThatItWasRenamedOrRemovedMeanwhile) {
  namespace fs = std::filesystem;
  const testing::Folder folder;
  const fs::path path = folder.path("run");
  RunFolder run(path, "never");
  run.require_in_place();
  run.open();
  run.require_in_place();
  fs::rename(path, folder.path("elsewhere"));
  const auto ask = [&] { run.require_in_place(); };
  EXPECT_THAT(ask, refusal("run: the run folder was renamed to ", "elsewhere while the run wrote into it"));
  fs::create_directory(path);
  EXPECT_THAT(ask, refusal("run: the run folder was renamed to ", "--resume auto"));
  fs::remove(path);
  fs::create_directory_symlink("elsewhere", path);
  run.require_in_place();
  fs::remove(path);
  fs::remove_all(folder.path("elsewhere"));
  EXPECT_THAT(ask, refusal("run: the run folder was removed while the run wrote into it", "begin anew"));
}

TEST(RunFolder, IsLockedBeforeItsCheckpointsAreLookedAt) {
  const testing::Folder folder;
  make_folder(folder.path("run"));
  folder.file("run/config.resolved.json", "{}");
  const RunFolder first(folder.path("run"), "auto");
  EXPECT_THAT([&] { RunFolder(folder.path("run"), "auto"); },
              refusal("another process is training in the folder", "choose another folder"));
}

TEST(RunFolder, KeepsTheRunThatAnotherProcessMadeMeanwhile) {
  const testing::Folder folder;
  RunFolder late(folder.path("run"), "auto");
  make_folder(folder.path("run/checkpoints/step_3"));
  folder.file("run/config.resolved.json", "{}");
  EXPECT_THAT([&] { late.open(); }, refusal("run: has become the run of another process", "--resume auto"));
  EXPECT_TRUE(std::filesystem::exists(folder.path("run/checkpoints/step_3")));
}

}  // namespace
}  // namespace capture
