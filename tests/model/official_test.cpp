#include "capture/model/official.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <map>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "model/small_model.h"

namespace capture {
namespace {

using ::testing::HasSubstr;
using Named = std::vector<std::pair<std::string, at::Tensor>>;

class Official : public ::testing::Test {
 protected:
  Official() {
    folder_ = std::filesystem::temp_directory_path() / ("capture_official_" + std::to_string(::getpid()));
    make_folder(folder_);
  }
  ~Official() override { std::filesystem::remove_all(folder_); }

  SafetensorsFile file_of(const Named& tensors) const {
    write_safetensors(folder_ / "x.safetensors", tensors);
    return SafetensorsFile(folder_ / "x.safetensors");
  }

  std::string refusal(const Named& tensors) const {
    try {
      HybridStreamModel model = small_model(options_, 3);
      import_official(file_of(tensors), *model);
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  }

  std::filesystem::path folder_;
  HybridStreamModelOptions options_ = small_options(2, 1, 1, 2);
  HybridStreamModel model_ = small_model(options_);
};

TEST_F(Official, ImportThenExportGivesTheSameBytesForWhatTheModelUses) {
  const SafetensorsFile golden(std::filesystem::path(CAPTURE_TEST_DATA) / "golden/official_batch/model.safetensors");
  const JsonDocument config =
      read_json(std::filesystem::path(CAPTURE_TEST_DATA) / "golden/official_batch/official_config.json");
  HybridStreamModel model(with_layers_of(golden, options_from_official(config)), std::nullopt);
  import_official(golden, *model);
  const Named exported = export_official(*model);
  EXPECT_EQ(exported.size(), golden.entries().size());
  const auto layout = official_layout(model->options());
  for (size_t i = 0; i < exported.size(); ++i) {
    const auto& [name, tensor] = exported[i];
    const at::Tensor expected = layout[i].ours.empty() ? at::zeros_like(tensor) : golden.tensor(name);
    EXPECT_TRUE(at::equal(tensor, expected)) << name;
  }
}

TEST_F(Official, EveryKindOfModelSurvivesTheRoundTrip) {
  for (const auto& options : {options_, small_options(0, 0, 0, 0), small_options(1, 0, 2, 0)}) {
    const HybridStreamModel original = small_model(options);
    HybridStreamModel copy = small_model(options, 9);
    import_official(file_of(export_official(*original)), *copy);
    for (const auto& item : original->named_parameters()) {
      EXPECT_TRUE(at::equal(copy->named_parameters()[item.key()], item.value())) << item.key();
    }
  }
}

TEST_F(Official, ThePrefixOfDataParallelIsDropped) {
  Named tensors = export_official(*model_);
  for (auto& [name, tensor] : tensors) name.insert(0, "module.");
  EXPECT_EQ(refusal(tensors), "accepted");
  tensors[0].first.erase(0, 7);
  EXPECT_THAT(refusal(tensors), HasSubstr("tensors missing"));
}

TEST_F(Official, UnusedTensorsMayBeMissing) {
  Named tensors;
  const auto layout = official_layout(options_);
  const Named all = export_official(*model_);
  for (size_t i = 0; i < all.size(); ++i) {
    if (!layout[i].ours.empty() && !layout[i].tied) tensors.push_back(all[i]);
  }
  EXPECT_LT(tensors.size(), all.size());
  EXPECT_EQ(refusal(tensors), "accepted");
}

TEST_F(Official, WhatDoesNotFitIsNamed) {
  Named tensors = export_official(*model_);
  tensors[0].second = at::zeros({51, 24});
  tensors[1].first = "bert.embeddings.position_embedding.weight";
  const std::string message = refusal(tensors);
  EXPECT_THAT(message, HasSubstr("tensors missing: 1 (bert.embeddings.position_embeddings.weight)"));
  EXPECT_THAT(message, HasSubstr("not expected: 1 (bert.embeddings.position_embedding.weight)"));
  EXPECT_THAT(message,
              HasSubstr("bert.embeddings.word_embeddings.weight is F32 [51, 24], expected floating-point [50, 24]"));
}

TEST_F(Official, ADecoderThatIsNotTheWordEmbeddingIsRefused) {
  Named tensors = export_official(*model_);
  for (auto& [name, tensor] : tensors) {
    if (name == "cls.predictions.decoder.weight") tensor = tensor + 1.0;
  }
  EXPECT_THAT(refusal(tensors), HasSubstr("cls.predictions.decoder.weight differs"));
}

TEST_F(Official, ConfigurationsThatMakeNoModelAreRefused) {
  const auto refused = [](const std::string& text) -> std::string {
    try {
      options_from_official(parse_json(text, "official.json"));
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refused("{}"), "accepted");
  EXPECT_THAT(refused(R"({"hidden_size": -1})"), HasSubstr("official.json:1: hidden_size: is -1"));
  EXPECT_THAT(refused(R"({"hidden_size": "768"})"), HasSubstr("hidden_size"));
  EXPECT_THAT(refused(R"({"num_hidden_layers": 1000000})"),
              HasSubstr("1000000; allowed: a whole number from 0 to 256"));
  EXPECT_THAT(refused(R"({"v_biattention_id": 3})"), HasSubstr("v_biattention_id: is 3; allowed: a list"));
  EXPECT_THAT(refused(R"({"v_hidden_size": 1024})"), HasSubstr("v_hidden_size: is 1024"));
  EXPECT_THAT(refused(R"({"cross_config": {"hidden_size": 512}})"), HasSubstr("cross_config.hidden_size: is 512"));
  EXPECT_THAT(refused("[]"), HasSubstr("not a JSON object"));
}

/// A BERT of three layers at the small model's width, under the given spelling.
Named bert(const std::string& prefix, const std::string& weight, const std::string& bias) {
  HybridStreamModelOptions options = small_options(3, 0, 0, 0);
  Named tensors;
  for (const auto& [name, tensor] : export_official(*small_model(options, 77))) {
    if (!name.starts_with("bert.embeddings.") && !name.starts_with("bert.encoder.layer.")) continue;
    std::string renamed = prefix + name.substr(5);
    if (const size_t place = renamed.find("LayerNorm."); place != std::string::npos) {
      renamed = renamed.substr(0, place) + "LayerNorm." + (renamed.ends_with("weight") ? weight : bias);
    }
    tensors.emplace_back(renamed, tensor);
  }
  tensors.emplace_back(prefix + "pooler.dense.weight", at::zeros({24, 24}));
  return tensors;
}

TEST_F(Official, BertStartsTheTextStreamWhateverItsSpelling) {
  const HybridStreamModel source = small_model(small_options(3, 0, 0, 0), 77);
  for (const auto& tensors :
       {bert("bert.", "weight", "bias"), bert("", "gamma", "beta"), bert("module.bert.", "gamma", "beta")}) {
    HybridStreamModel model = small_model(options_);
    const auto names = initialise_from_bert(file_of(tensors), *model);
    EXPECT_EQ(names.size(), 5U + 2U * 12U);
    std::map<std::string, bool> set;
    for (const auto& name : names) set[name] = true;
    for (const auto& item : model->named_parameters()) {
      const bool from_bert = item.key().starts_with("text_embedding.") || item.key().starts_with("text_stream.");
      EXPECT_EQ(set.contains(item.key()), from_bert) << item.key();
      const at::Tensor expected = (from_bert ? source : model_)->named_parameters()[item.key()];
      EXPECT_TRUE(at::equal(item.value(), expected)) << item.key();
    }
  }
}

TEST_F(Official, ABertOfAnotherSizeIsRefused) {
  HybridStreamModelOptions options = options_;
  options.vocabulary_size = 60;
  HybridStreamModel model = small_model(options);
  try {
    initialise_from_bert(file_of(bert("", "weight", "bias")), *model);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("bert.embeddings.word_embeddings.weight is F32 [50, 24], expected floating-point [60, 24]"));
    EXPECT_THAT(error.what(), HasSubstr("vocabulary_size must be those of this BERT"));
  }
}

}  // namespace
}  // namespace capture
