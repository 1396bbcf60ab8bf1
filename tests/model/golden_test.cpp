// Parity with the published model, stage by stage.
#include "golden/golden.h"

namespace capture {
namespace {

constexpr double kTolerance = 1e-5;

at::Tensor rows(const at::Tensor& tensor, const at::Tensor& index) {
  return tensor.flatten(0, 1).index_select(0, index);
}

void expect_every_stage(const Golden& golden) {
  const HybridStreamOutput output = golden.model->forward(golden.batch);
  const std::pair<const char*, at::Tensor> stages[] = {
      {"text_embeddings", output.text_embeddings},
      {"region_embeddings", output.region_embeddings},
      {"text_stream", output.text_stream},
      {"region_stream", output.region_stream},
      {"text_projection", output.embeddings.text_projection},
      {"region_projection", output.embeddings.region_projection},
      {"text_sequence", output.text_sequence},
      {"region_sequence", output.region_sequence},
      {"text_pooled", output.embeddings.text_pooled},
      {"region_pooled", output.embeddings.region_pooled},
      {"mlm_logits", golden.model->token_scores(output.text_sequence)},
      {"mrm_predictions", golden.model->region_predictions(output.region_sequence)},
  };
  for (const auto& [name, actual] : stages) expect_close(actual, golden.io.tensor(name), kTolerance, name);
}

void expect_fast_paths(const Golden& golden) {
  const PairEmbeddings embeddings = golden.model->embed(golden.batch);
  expect_close(embeddings.text_projection, golden.io.tensor("text_projection"), kTolerance, "embed: text_projection");
  expect_close(embeddings.region_projection, golden.io.tensor("region_projection"), kTolerance,
               "embed: region_projection");
  expect_close(embeddings.text_pooled, golden.io.tensor("text_pooled"), kTolerance, "embed: text_pooled");
  expect_close(embeddings.region_pooled, golden.io.tensor("region_pooled"), kTolerance, "embed: region_pooled");

  const PretrainingOutput output =
      golden.model->pretrain(golden.batch, golden.targets.token_rows, golden.targets.region_rows);
  expect_close(output.token_scores, rows(golden.io.tensor("mlm_logits"), golden.targets.token_rows), kTolerance,
               "pretrain: mlm_logits");
  expect_close(output.region_predictions, rows(golden.io.tensor("mrm_predictions"), golden.targets.region_rows),
               kTolerance, "pretrain: mrm_predictions");
}

TEST(Golden, EveryStageMatchesThePublishedModel) {
  for (const auto& folder : golden_folders()) {
    SCOPED_TRACE(folder);
    const Golden golden(folder);
    expect_every_stage(golden);
    const at::NoGradGuard inference;  // another attention kernel
    expect_every_stage(golden);
  }
}

TEST(Golden, FastPathsMatchThePublishedModel) {
  for (const auto& folder : golden_folders()) {
    SCOPED_TRACE(folder);
    Golden golden(folder);
    expect_fast_paths(golden);
    const at::NoGradGuard inference;
    expect_fast_paths(golden);
  }
}

TEST(Golden, AMaskWithoutPaddingChangesNothing) {
  for (const auto& folder : golden_folders()) {
    SCOPED_TRACE(folder);
    Golden golden(folder);
    golden.batch.text_padded = true;
    golden.batch.regions_padded = true;
    expect_every_stage(golden);
  }
}

}  // namespace
}  // namespace capture
