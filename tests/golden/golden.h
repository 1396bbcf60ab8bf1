// The golden folders: weights, inputs and every stage of the published model at a small size (its official_config.json
// gives the sizes). tests/golden holds two; CAPTURE_GOLDEN_DIRS may name more, separated by colons.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <vector>

#include "capture/model/official.h"
#include "capture/tensor/safetensors.h"

namespace capture {

inline std::vector<std::filesystem::path> golden_folders() {
  const std::filesystem::path own = std::filesystem::path(CAPTURE_TEST_DATA) / "golden";
  std::vector<std::filesystem::path> folders = {own / "official_batch", own / "official_padded"};
  if (const char* more = std::getenv("CAPTURE_GOLDEN_DIRS")) {
    std::istringstream list(more);
    for (std::string folder; std::getline(list, folder, ':');) {
      if (!folder.empty()) folders.emplace_back(folder);
    }
  }
  return folders;
}

/// One folder, ready to be run.
struct Golden {
  explicit Golden(const std::filesystem::path& folder_path)
      : folder(folder_path),
        io(folder / "io.safetensors"),
        weights(folder / "model.safetensors"),
        options(read_options(weights, io, folder / "official_config.json")),
        model(options, std::nullopt) {
    std::cout << "golden folder: " << folder.string() << std::endl;
    import_official(weights, *model);
    model->eval();
    batch.token_ids = io.tensor("input_ids");
    batch.text_mask = io.tensor("text_mask").to(at::kBool);
    batch.region_features = io.tensor("region_features");
    batch.region_locations = io.tensor("region_locations");
    batch.region_mask = io.tensor("region_mask").to(at::kBool);
    batch.text_padded = !batch.text_mask.all().item<bool>();
    batch.regions_padded = !batch.region_mask.all().item<bool>();

    const at::Tensor words = io.tensor("mlm_labels");
    targets.token_rows = words.flatten().ne(-1).nonzero().flatten();
    targets.token_ids = words.flatten().index_select(0, targets.token_rows);
    // These labels leave out the global region, which stands first among ours.
    const at::Tensor regions = io.tensor("region_labels");
    const at::Tensor chosen = regions.flatten().ne(-1).nonzero().flatten();
    targets.region_rows = chosen + chosen.floor_divide(regions.size(1)) + 1;
    targets.region_features = io.tensor("region_targets").flatten(0, 1).index_select(0, chosen);
  }

  /// Regions follow the text, which the published code pads to one length throughout.
  static HybridStreamModelOptions read_options(const SafetensorsFile& weights, const SafetensorsFile& io,
                                               const std::filesystem::path& config) {
    HybridStreamModelOptions options = with_layers_of(weights, options_from_official(read_json(config)));
    options.co_transformer.first_region = io.tensor("input_ids").size(1);
    return options;
  }

  std::filesystem::path folder;
  SafetensorsFile io;
  SafetensorsFile weights;
  HybridStreamModelOptions options;
  HybridStreamModel model;
  PairBatch batch;
  MaskedTargets targets;
};

/// |actual − expected| ≤ tolerance everywhere, and shapes agree.
inline void expect_close(const at::Tensor& actual, const at::Tensor& expected, double tolerance, const char* what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  if (actual.numel() == 0) return;
  const double difference = (actual.detach() - expected).abs().max().item<double>();
  EXPECT_LE(difference, tolerance) << what;
  EXPECT_TRUE(actual.isfinite().all().item<bool>()) << what;
}

}  // namespace capture
