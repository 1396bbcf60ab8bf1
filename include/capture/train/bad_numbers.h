// Why a step's loss or gradient was not finite: the module where it began, and the samples that brought it there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "capture/data/batch.h"
#include "capture/model/hybrid_stream.h"
#include "capture/objectives/pretraining.h"
#include "capture/tensor/device.h"

namespace capture {

struct BadNumbers {
  std::string where;          ///< "co_transformer.3.up (linear)", "the region features", "the gradient of …"
  std::vector<int64_t> rows;  ///< of the batch: pairs that do it alone, the first eight; empty: none does
};

/// Runs the batch once more, forward and backward, looking at the result of every operation; then halves it until the
/// pairs are found that give such numbers by themselves. Takes several times as long as a step. Changes nothing, but
/// for LibTorch's random generators, which give the dropout; the contrastive objective sees this batch alone. Nothing
/// when every number of this run is finite. The batch must hold `inputs`, on the host.
std::optional<BadNumbers> find_bad_numbers(const HybridStreamModel& model, const Batch& batch,
                                           const PretrainingObjectiveOptions& objective, at::Device device,
                                           Precision precision);

}  // namespace capture
