#include "capture/train/checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/model/weights.h"
#include "capture/tensor/safetensors.h"
#include "common/nobody.h"
#include "common/testing.h"

namespace capture {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

HybridStreamModel tiny_model() {
  HybridStreamModelOptions options;
  options.width = 8;
  options.projection_width = 4;
  options.vocabulary_size = 11;
  options.feature_width = 6;
  options.text_positions = 8;
  options.text = {.layers = 1, .heads = 2, .feed_forward = 8};
  options.image = {.layers = 0, .heads = 2, .feed_forward = 8};
  options.cross = {.layers = 0, .heads = 2, .width = 8};
  options.co_transformer = {.layers = 0, .heads = 2, .positions = 16};
  return HybridStreamModel(options, 1);
}

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() {
    for (const int64_t step : {10, 20, 30}) save(step);
  }

  void save(int64_t step, const std::string& note = "") {
    const NamedTensors optimizer = {{"step", at::full({}, static_cast<float>(step))}, {"w.moment1", at::ones({3})}};
    NamedTensors weights;
    for (const auto& item : model_->named_parameters()) weights.emplace_back(item.key(), item.value());
    store_.save(step,
                {{"model.safetensors", weights, model_metadata(*model_)},
                 {"optimizer.safetensors", optimizer},
                 {"average.safetensors", {{"w", at::ones({64})}}}},
                {{"note", "step " + std::to_string(step) + note}});
  }

  std::optional<int64_t> mend_best() {
    skipped_.clear();
    return store_.mend_best([&](const std::string& what) { skipped_.push_back(what); });
  }

  /// Flips one bit in the middle of a file.
  static void damage(const fs::path& path) {
    std::string bytes = read_file(path);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    write_file(path, bytes);
  }

  /// As `cp -rL` and object stores do.
  void copy_to_best(int64_t step) const {
    fs::remove(folder_ / "best");
    fs::copy(store_.path_of(step), folder_ / "best");
  }

  int64_t newest() {
    skipped_.clear();
    const auto checkpoint = store_.newest([&](const std::string& what) { skipped_.push_back(what); });
    return checkpoint ? checkpoint->step : -1;
  }

  const testing::Folder run_;
  const fs::path folder_ = run_.path("checkpoints");
  CheckpointStore store_{folder_};
  HybridStreamModel model_ = tiny_model();
  std::vector<std::string> skipped_;
};

TEST_F(CheckpointTest, ComesBackAsItWasSaved) {
  const Checkpoint checkpoint = open_checkpoint(store_.path_of(20));
  EXPECT_EQ(checkpoint.step, 20);
  EXPECT_EQ(checkpoint.state.at("note"), "step 20");
  EXPECT_EQ(SafetensorsFile(checkpoint.optimizer()).tensor("step").item<float>(), 20.0F);
  const HybridStreamModel model = load_model(checkpoint.model());
  for (const auto& item : model->named_parameters()) {
    EXPECT_TRUE(item.value().equal(*model_->named_parameters().find(item.key()))) << item.key();
  }
}

TEST_F(CheckpointTest, ADamagedOneIsPassedOverByName) {
  EXPECT_EQ(newest(), 30);
  EXPECT_THAT(skipped_, IsEmpty());
  damage(store_.path_of(30) / "model.safetensors");
  EXPECT_EQ(newest(), 20);
  EXPECT_THAT(skipped_, ElementsAre(HasSubstr("step_30/model.safetensors")));
  damage(store_.path_of(20) / "optimizer.safetensors");
  EXPECT_EQ(newest(), 10);
  damage(store_.path_of(10) / "state.json");
  EXPECT_EQ(newest(), -1);
  EXPECT_THAT(skipped_, ElementsAre(HasSubstr("step_30/model.safetensors"), HasSubstr("step_20/optimizer.safetensors"),
                                    HasSubstr("step_10/state.json")));
}

TEST_F(CheckpointTest, EveryFlippedByteOfTheStateIsSeen) {
  const fs::path path = store_.path_of(30) / "state.json";
  const std::string good = read_file(path);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 2);
    // Between values a space may stand for a quotation mark's neighbour, but never may a value change.
    write_file(path, bad);
    try {
      EXPECT_EQ(open_checkpoint(store_.path_of(30)).state.at("note"), "step 30") << "byte " << i;
    } catch (const UserError&) {
    }
  }
}

TEST_F(CheckpointTest, FlippedBytesOfAnyFileAreSeen) {
  for (const char* file : {"model.safetensors", "optimizer.safetensors", "average.safetensors"}) {
    const fs::path path = store_.path_of(30) / file;
    const std::string good = read_file(path);
    for (size_t i = 0; i < good.size(); i += 1 + good.size() / 50) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1);
      write_file(path, bad);
      EXPECT_EQ(newest(), 20) << file << " " << i;
      EXPECT_THAT(skipped_, ElementsAre(HasSubstr(std::string("step_30/") + file)));
    }
    write_file(path, good);
  }
  EXPECT_EQ(newest(), 30);
}

TEST_F(CheckpointTest, AStateThatAccountsForNoWeightsIsNone) {
  Json body = open_checkpoint(store_.path_of(30)).state;
  body["checksums"] = Json::object();
  write_file(store_.path_of(30) / "state.json",
             to_text({{"state_checksum", to_hex(checksum(to_line(body)))}, {"state", body}}));
  EXPECT_EQ(newest(), 20);
}

TEST_F(CheckpointTest, WhatCannotFitIsNotBegun) {
  const at::Tensor vast = at::zeros({1}).expand({int64_t{1} << 50});
  try {
    store_.save(40, {{"model.safetensors", {{"w", vast}}}}, Json::object());
    FAIL() << "saved";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("4294967300 MiB"));
  }
  EXPECT_FALSE(fs::exists(folder_ / "step_40.writing"));
}

TEST_F(CheckpointTest, OneCutShortIsPassedOver) {
  for (const char* file : {"model.safetensors", "optimizer.safetensors", "average.safetensors", "state.json"}) {
    const fs::path path = store_.path_of(30) / file;
    const std::string good = read_file(path);
    for (const size_t length : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 1}) {
      write_file(path, good.substr(0, length));
      // state.json ends in a newline that nothing depends on.
      if (length + 1 == good.size() && std::string(file) == "state.json") continue;
      EXPECT_EQ(newest(), 20) << file << " " << length;
    }
    fs::remove(path);
    EXPECT_EQ(newest(), 20) << file;
    write_file(path, good);
    EXPECT_EQ(newest(), 30) << file;
  }
}

TEST_F(CheckpointTest, AHalfWrittenOrRemovedOneIsNoneAndIsSwept) {
  for (const char* left : {"step_40.writing", "step_5.removing", "step_30.writing.removing"}) {
    fs::copy(store_.path_of(30), folder_ / left);
  }
  EXPECT_EQ(newest(), 30);
  EXPECT_THAT(store_.steps(), ElementsAre(10, 20, 30));
  store_.sweep();
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 3);
  EXPECT_THAT(store_.steps(), ElementsAre(10, 20, 30));
}

TEST_F(CheckpointTest, OneThatIsRemovedLosesItsNameBeforeItsFiles) {
  const int events = ::inotify_init1(IN_NONBLOCK);
  ::inotify_add_watch(events, store_.path_of(10).c_str(), IN_DELETE | IN_MOVE_SELF);
  store_.prune(2);
  alignas(inotify_event) std::array<char, 4096> buffer{};
  ASSERT_GE(::read(events, buffer.data(), buffer.size()), static_cast<ssize_t>(sizeof(inotify_event)));
  EXPECT_EQ(reinterpret_cast<const inotify_event*>(buffer.data())->mask, IN_MOVE_SELF);
  ::close(events);
  EXPECT_THAT(store_.steps(), ElementsAre(20, 30));
}

TEST_F(CheckpointTest, PruningKeepsTheNewestAndTheBest) {
  store_.set_best(10);
  store_.prune(1);
  EXPECT_THAT(store_.steps(), ElementsAre(10, 30));
  EXPECT_EQ(store_.best(), 10);
  EXPECT_EQ(open_checkpoint(folder_ / "best").step, 10);
  store_.set_best(30);
  store_.prune(1);
  EXPECT_THAT(store_.steps(), ElementsAre(30));
}

TEST_F(CheckpointTest, GoingBackDropsWhatCameLater) {
  store_.set_best(30);
  store_.drop_after(20);
  EXPECT_THAT(store_.steps(), ElementsAre(10, 20));
  EXPECT_FALSE(store_.best());
  EXPECT_FALSE(fs::is_symlink(folder_ / "best"));
}

TEST_F(CheckpointTest, GoingBackKeepsTheDamagedOnesThatWerePassedOverUnderAnotherName) {
  for (const std::string note : {"", " again"}) {
    save(25);
    save(30, note);
    damage(store_.path_of(30) / "model.safetensors");
    damage(store_.path_of(25) / "optimizer.safetensors");
    EXPECT_EQ(newest(), 20);
    store_.drop_after(20);
    EXPECT_THAT(store_.steps(), ElementsAre(10, 20));
    EXPECT_TRUE(fs::exists(folder_ / "step_25.damaged/model.safetensors"));
    EXPECT_EQ(read_json(folder_ / "step_30.damaged/state.json").root["state"]["note"], "step 30" + note);
  }
  store_.sweep();
  store_.prune(1);
  EXPECT_THAT(store_.steps(), ElementsAre(20));
  EXPECT_TRUE(fs::exists(folder_ / "step_30.damaged/state.json"));
}

TEST_F(CheckpointTest, OneThatCannotBeReadIsNotTakenForDamaged) {
  fs::permissions(run_.path(""), fs::perms(0755));
  for (const char* file : {"state.json", "model.safetensors", ""}) {
    const fs::path path = store_.path_of(30) / file;
    fs::permissions(path, fs::perms::none);
    std::string refusal;
    {
      const testing::Nobody nobody;
      refusal = testing::error_of([&] { newest(); });
    }
    EXPECT_THAT(refusal, AllOf(HasSubstr("Permission denied; make it readable, or remove "), HasSubstr("step_30"),
                               HasSubstr("if it is not wanted")))
        << file;
    EXPECT_THAT(skipped_, IsEmpty());
    fs::permissions(path, fs::perms::owner_all);
  }
  EXPECT_EQ(newest(), 30);
}

TEST_F(CheckpointTest, OneOfAnotherVersionOrAnotherNameIsNotTakenForDamaged) {
  const fs::path path = store_.path_of(30) / "state.json";
  const std::string good = read_file(path);
  Json body = open_checkpoint(store_.path_of(30)).state;
  body["format"] = 4;
  write_file(path, to_text({{"state_checksum", to_hex(checksum(to_line(body)))}, {"state", body}}));
  EXPECT_THAT(testing::error_of([&] { newest(); }),
              HasSubstr("a format that this version does not read; go on with the version that wrote it, or remove "));
  write_file(path, good);
  fs::copy(store_.path_of(20), store_.path_of(99));
  EXPECT_THAT(testing::error_of([&] { newest(); }), HasSubstr("step_99: holds the checkpoint of step 20; give it"));
  EXPECT_THAT(testing::error_of([&] { open_checkpoint(store_.path_of(99)); }), HasSubstr("step 20"));
}

TEST_F(CheckpointTest, OneOfTheVersionBeforeIsReadAndVerified) {
  const fs::path folder = store_.path_of(30);
  Json body = open_checkpoint(folder).state;
  body["format"] = 2;
  for (auto& [name, sum] : body["checksums"].items()) sum = to_hex(checksum(read_file(folder / name)));
  write_file(folder / "state.json", to_text({{"state_checksum", to_hex(checksum(to_line(body)))}, {"state", body}}));
  EXPECT_EQ(newest(), 30);
  damage(folder / "average.safetensors");
  EXPECT_EQ(newest(), 20);
}

TEST_F(CheckpointTest, ABestThatWasCopiedWithoutItsLinkBecomesOneAgain) {
  store_.set_best(20);
  EXPECT_EQ(mend_best(), std::nullopt);
  const std::vector<std::function<void()>> happened = {[] {}, [this] { fs::remove_all(store_.path_of(20)); },
                                                       [this] { damage(store_.path_of(20) / "model.safetensors"); }};
  for (const auto& happen : happened) {
    copy_to_best(20);
    happen();
    EXPECT_EQ(mend_best(), 20);
    EXPECT_TRUE(fs::is_symlink(folder_ / "best"));
    EXPECT_EQ(open_checkpoint(folder_ / "best").step, 20);
    EXPECT_THAT(store_.steps(), ElementsAre(10, 20, 30));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 4);
  }
}

TEST_F(CheckpointTest, WhatIsNoCopyOfACheckpointAndCalledBestStays) {
  const fs::path best = folder_ / "best";
  const auto stays = [&](const fs::path& file) {
    EXPECT_THAT(testing::error_of([&] { mend_best(); }), HasSubstr("best"));
    EXPECT_THAT(testing::error_of([&] { store_.set_best(10); }), HasSubstr("move it elsewhere"));
    EXPECT_TRUE(fs::is_regular_file(file)) << file;
    EXPECT_TRUE(fs::exists(store_.path_of(20)));
    fs::remove_all(best);
  };
  write_file(best, "a letter");
  stays(best);
  fs::create_directory(best);
  write_file(best / "letter", "dear");
  stays(best / "letter");
  for (const bool is_own_whole : {true, false}) {
    copy_to_best(20);
    save(20, is_own_whole ? " of another run" : " of a third");
    if (!is_own_whole) damage(store_.path_of(20) / "model.safetensors");
    stays(best / "model.safetensors");
  }
}

TEST_F(CheckpointTest, ADamagedCopyOfTheBestIsPutAsideAndKeepsNobodyFromGoingOn) {
  for (const auto& [file, why] :
       {std::pair("model.safetensors", "differs from its checksum"), {"state.json", "JSON"}}) {
    copy_to_best(20);
    if (std::string(file) == "state.json") {
      write_file(folder_ / "best/state.json", "{");
    } else {
      damage(folder_ / "best" / file);
    }
    EXPECT_EQ(mend_best(), std::nullopt);
    EXPECT_THAT(skipped_, ElementsAre(HasSubstr(why)));
    EXPECT_FALSE(fs::exists(folder_ / "best"));
    EXPECT_TRUE(fs::exists(folder_ / "best.damaged/optimizer.safetensors"));
    store_.set_best(20);
    fs::remove_all(folder_ / "best.damaged");
  }
}

TEST_F(CheckpointTest, AFolderThatDoesNotAnswerIsNotTakenForAnEmptyOne) {
  fs::rename(folder_, run_.path("elsewhere"));
  EXPECT_THAT(store_.steps(), IsEmpty());
  fs::create_directory_symlink("not_mounted", folder_);
  EXPECT_THAT(testing::error_of([&] { store_.steps(); }), HasSubstr("checkpoints: cannot look into the folder"));
  EXPECT_THAT(testing::error_of([&] { newest(); }), HasSubstr("cannot look into the folder"));
}

TEST_F(CheckpointTest, AFolderThatCannotBeWrittenIsNamedAndLeftClean) {
  const fs::path file = run_.path("in_the_way");
  write_file(file, "a file");
  CheckpointStore store(file / "checkpoints");
  EXPECT_THROW(store.save(1, {}, Json::object()), UserError);
  EXPECT_EQ(read_file(file), "a file");
}

}  // namespace
}  // namespace capture
