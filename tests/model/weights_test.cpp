#include "capture/model/weights.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "model/small_model.h"

namespace capture {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Weights : public ::testing::Test {
 protected:
  Weights() {
    folder_ = std::filesystem::temp_directory_path() / ("capture_weights_" + std::to_string(::getpid()));
    make_folder(folder_);
  }
  ~Weights() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file() const { return folder_ / "model.safetensors"; }

  std::vector<std::pair<std::string, at::Tensor>> tensors() const {
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const auto& item : model_->named_parameters()) tensors.emplace_back(item.key(), item.value());
    return tensors;
  }

  std::string refusal(const std::vector<std::pair<std::string, at::Tensor>>& changed) const {
    write_safetensors(file(), changed);
    try {
      HybridStreamModel other = small_model(small_options(1, 1, 1, 1), 2);
      load_weights(SafetensorsFile(file()), *other);
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  }

  std::filesystem::path folder_;
  HybridStreamModel model_ = small_model(small_options(1, 1, 1, 1));
};

TEST_F(Weights, AFileAloneRebuildsTheModel) {
  save_model(file(), *model_, {{"note", "kept"}});
  HybridStreamModel loaded = load_model(file());
  EXPECT_TRUE(same_shape(loaded->options(), model_->options()));
  EXPECT_FALSE(loaded->is_training());
  for (const auto& item : model_->named_parameters()) {
    EXPECT_TRUE(at::equal(loaded->named_parameters()[item.key()], item.value())) << item.key();
  }
  EXPECT_EQ(SafetensorsFile(file()).metadata().at("note"), "kept");
  const std::string first = read_file(file());
  save_model(file(), *loaded, {{"note", "kept"}});
  EXPECT_EQ(read_file(file()), first);
}

TEST_F(Weights, LoadedWeightsAreNotTheFile) {
  save_model(file(), *model_);
  HybridStreamModel loaded = load_model(file());
  const at::NoGradGuard no_grad;
  loaded->text_output->weight.zero_();
  EXPECT_NE(load_model(file())->text_output->weight.abs().sum().item<double>(), 0.0);
}

TEST_F(Weights, WhatIsMissingUnexpectedOrMisshapenIsNamed) {
  auto changed = tensors();
  changed[0].first += "s";
  changed[1].second = at::zeros({3, 4});
  changed[2].second = changed[2].second.to(at::kLong);
  EXPECT_THAT(refusal(changed),
              AllOf(HasSubstr("tensors missing: 1 (text_embedding.word.weight)"),
                    HasSubstr("not expected: 1 (text_embedding.word.weights)"), HasSubstr("of another shape: 2"),
                    HasSubstr("text_embedding.position.weight is F32 [3, 4], expected floating-point [12, 24]"),
                    HasSubstr("the nearest name to text_embedding.word.weight is text_embedding.word.weights")));
  EXPECT_THAT(refusal({}), HasSubstr("tensors missing: " + std::to_string(tensors().size()) + " ("));
}

TEST_F(Weights, OtherFloatingTypesAreConverted) {
  auto halves = tensors();
  for (auto& [name, tensor] : halves) tensor = tensor.to(at::kBFloat16);
  EXPECT_EQ(refusal(halves), "accepted");
}

TEST_F(Weights, AFileWithoutOptionsSaysHowToMakeOne) {
  write_safetensors(file(), tensors());
  try {
    load_model(file());
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("capture_weights import"));
  }
}

TEST_F(Weights, HugeOptionsAreRefusedBeforeTheModelIsBuilt) {
  write_safetensors(
      file(), tensors(),
      {{"capture.model", R"({"width":65536,"vocabulary_size":10000000,"text":{"layers":256,"heads":1}})"}});
  try {
    load_model(file());
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("tensors missing"));
  }
}

TEST_F(Weights, BrokenOptionsNameTheFile) {
  for (const char* text : {"{", R"({"widht":3})", R"({"width":7})", "[]"}) {
    write_safetensors(file(), tensors(), {{"capture.model", text}});
    try {
      load_model(file());
      FAIL() << text;
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr("model.safetensors"));
    }
  }
}

}  // namespace
}  // namespace capture
