// Losses and gradients of the published model.
#include "golden/golden.h"

#include "capture/objectives/pretraining.h"

namespace capture {
namespace {

/// The golden losses; contrastive is left out where the folder has none (a single pair has no negatives).
PretrainingObjectiveOptions objectives_of(const Golden& golden) {
  PretrainingObjectiveOptions options;
  if (!golden.io.contains("loss_contrastive")) options.contrastive = 0.0;
  return options;
}

void expect_gradients(const Golden& golden) {
  const SafetensorsFile expected(golden.folder / "grads.safetensors");
  const auto parameters = golden.model->named_parameters();
  for (const OfficialTensor& theirs : official_layout(golden.options)) {
    if (theirs.ours.empty() || theirs.tied || !expected.contains(theirs.name)) continue;
    SCOPED_TRACE(theirs.name);
    const at::Tensor& whole = parameters[theirs.ours].grad();
    ASSERT_TRUE(whole.defined());
    const int64_t rows = whole.size(0) / theirs.parts;
    const at::Tensor reference = expected.tensor(theirs.name);
    // A key's bias moves no softmax: its gradient is 0 but for rounding, and so is not measured against itself.
    const double scale = std::max(reference.abs().max().item<double>(), 1e-4);
    expect_close(whole.narrow(0, theirs.part * rows, rows), reference, 1e-4 * scale, "gradient");
  }
}

TEST(GoldenObjectives, LossesAndGradientsMatchThePublishedModel) {
  for (const auto& folder : golden_folders()) {
    SCOPED_TRACE(folder);
    const Golden golden(folder);
    const PretrainingLosses losses =
        pretraining_losses(*golden.model, golden.batch, golden.targets, objectives_of(golden));
    const std::pair<const char*, at::Tensor> expected[] = {{"loss_mlm", losses.masked_tokens},
                                                           {"loss_mrm", losses.masked_regions},
                                                           {"loss_contrastive", losses.contrastive}};
    double total = 0.0;
    for (const auto& [name, loss] : expected) {
      if (!golden.io.contains(name)) continue;
      const double reference = golden.io.tensor(name).item<double>();
      EXPECT_NEAR(loss.item<double>(), reference, 1e-5) << name;
      total += reference;
    }
    EXPECT_NEAR(losses.total.item<double>(), total, 3e-5);
    losses.total.backward();
    if (std::filesystem::exists(folder / "grads.safetensors")) expect_gradients(golden);
  }
}

}  // namespace
}  // namespace capture
