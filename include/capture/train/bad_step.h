// What a run says of a step whose loss or gradient was not finite.
#pragma once

#include <cstdint>
#include <filesystem>

#include "capture/distributed/process_group.h"
#include "capture/model/hybrid_stream.h"
#include "capture/train/config.h"
#include "capture/train/meter.h"
#include "capture/train/parts.h"

namespace capture {

/// A finished step and the batches that it was made of, on this process.
struct StepBatches {
  int64_t step;
  int64_t epoch;
  int64_t first;  ///< batch of the epoch
  int64_t count;
};

/// Loads the step's batches again, looks for the first number in them that is not finite (find_bad_numbers) and says
/// what it found: as a warning, and with the ids of all pairs in `folder`/step_N.json (of other processes than the
/// first, and only where they found something: step_N.rankR.json). The weights are those of now, which on a CPU are the
/// step's own, because a bad step changes nothing. A rerun that fails, and a file that cannot be written, are warnings.
void explain_bad_step(const TrainConfig& config, const TrainingParts& parts, const HybridStreamModel& model,
                      const ProcessGroup& group, const StepBatches& step, const Meter::Values& values,
                      const std::filesystem::path& folder);

}  // namespace capture
