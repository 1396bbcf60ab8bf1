#include "capture/train/pretrain.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "capture/base/config.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/model/weights.h"
#include "capture/tensor/runtime.h"
#include "capture/tensor/safetensors.h"
#include "capture/train/initial_weights.h"

namespace capture {

namespace {

int64_t count_of(const NamedTensors& parameters) {
  int64_t count = 0;
  for (const auto& [name, parameter] : parameters) count += parameter.numel();
  return count;
}

void describe(const TrainingParts& parts, const HybridStreamModel& model, const RunLength& length) {
  log::info("{} parameters, {} training samples, {} steps in epochs of {}, on {} with {} threads",
            count_of(named_parameters_of(*model)), parts.training.size(), length.total_steps, length.steps_per_epoch,
            parts.device.str(), at::get_num_threads());
}

/// The resolved configuration and the log, on the process that owns the folder.
void begin_folder(RunFolder& folder, const TrainConfig& config) {
  folder.open();
  write_file(folder.path() / "config.resolved.json", to_text(to_json(config)));
  log_to_file(folder.path() / "log.txt");
}

}  // namespace

TrainOutcome pretrain(const TrainRequest& request, const ProcessGroup& group) {
  TrainConfig config = request.config;
  RunFolder folder(request.output, request.resume);
  TrainingParts parts = open_parts(config);
  tune_cpu_runtime(config.trainer.threads);
  if (folder.start()) compare_configs(folder.start()->state.at("config"), to_json(config));

  std::vector<std::string> initialized;
  HybridStreamModel model(config.model, static_cast<uint64_t>(config.trainer.seed));
  if (folder.start()) {
    load_weights(SafetensorsFile(folder.start()->model()), *model);
    folder.start()->state.at("initialized").get_to(initialized);
  } else if (!request.init.empty()) {
    initialized = start_from(request.init, *model);
  }
  model->to(parts.device);
  model->train();

  Trainer trainer(config, parts, model, std::move(initialized), folder, group);
  if (group.rank() == 0) begin_folder(folder, config);
  describe(parts, model, length_of(config, pairs_an_epoch(parts.training, config.loader), group.world_size()));
  if (folder.start()) log::info("going on after step {} of {}", folder.start()->step, folder.start()->folder.string());
  return trainer.run();
}

}  // namespace capture
