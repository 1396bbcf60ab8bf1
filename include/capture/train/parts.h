// What a run is made of, opened and held against each other before anything is written.
#pragma once

#include <c10/core/Device.h>

#include <memory>
#include <optional>

#include "capture/data/dataset.h"
#include "capture/text/tokenizer.h"
#include "capture/train/config.h"

namespace capture {

struct TrainingParts {
  at::Device device;
  std::unique_ptr<Tokenizer> tokenizer;
  Dataset training;
  std::optional<Dataset> validation;
};

/// Opens the tokenizer, the data and the device, and fills the sizes that the configuration left at 0 from them.
/// `local_rank` of the processes on this machine takes that GPU, where trainer.device names none.
/// UserError when a file is missing or damaged, or when vocabulary, feature width, class count or sequence length do
/// not fit the model.
TrainingParts open_parts(TrainConfig& config, int64_t local_rank = 0);

}  // namespace capture
