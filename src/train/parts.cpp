#include "capture/train/parts.h"

#include <algorithm>
#include <filesystem>

#include "capture/base/error.h"

namespace capture {

namespace {

Dataset open_data(const std::vector<std::string>& paths) {
  return Dataset(std::vector<std::filesystem::path>(paths.begin(), paths.end()));
}

std::string misfit(int64_t size, int64_t found, const char* key, const std::string& origin) {
  return std::string(key) + " is " + std::to_string(size) + ", but " + origin + " has " + std::to_string(found);
}

/// `size` is what the configuration says under `key`, `found` what `origin` has.
void settle(int64_t& size, int64_t found, const char* key, const std::string& origin) {
  if (size == 0) size = found;
  if (size == found) return;
  throw UserError({.what = misfit(size, found, key, origin),
                   .where = "the configuration",
                   .allowed = std::to_string(found) + ", or 0 to take what is there"});
}

/// As settle, where the training data has settled the size.
void require(int64_t size, int64_t found, const char* key, const std::string& origin) {
  if (size == found) return;
  throw UserError({.what = misfit(size, found, key, origin),
                   .where = "the configuration",
                   .hint = "make it with the same options as the training data"});
}

/// Processes on one machine that name no GPU take one each.
at::Device device_of(const std::string& name, int64_t local_rank) {
  const at::Device device = parse_device(name);
  if (!device.is_cuda() || name.starts_with("cuda:") || local_rank == 0) return device;
  try {
    return parse_device("cuda:" + std::to_string(local_rank));
  } catch (const UserError& error) {
    throw UserError({.what = error.parts().what + ", and each process takes one of its own",
                     .where = "trainer.device",
                     .hint = "start no more processes on a machine than it has GPUs; where a scheduler shows each "
                             "process a GPU of its own alone (srun --gpus-per-task=1), set trainer.device to cuda:0"});
  }
}

void check_sequence(const TrainConfig& config, const Dataset& data) {
  const int64_t regions =
      config.loader.max_regions > 0 ? std::min(config.loader.max_regions, data.max_regions()) : data.max_regions();
  config.model.require_positions(config.loader.max_tokens, regions);
}

/// Whether classes are wanted, and so there.
bool wants_classes(const TrainConfig& config, const Dataset& data, const std::string& origin) {
  if (config.objective.region_objective != RegionObjective::classes || config.objective.masked_regions == 0) {
    return false;
  }
  if (data.has_classes()) return true;
  throw UserError({.what = "objective.region_objective is classes, but " + origin + " has no class probabilities",
                   .where = "the configuration",
                   .allowed = "features"});
}

void settle_by_training(TrainConfig& config, const Dataset& data) {
  const std::string origin = "the training data " + config.data.train.front();
  settle(config.model.feature_width, data.feature_width(), "model.feature_width", origin);
  if (wants_classes(config, data, origin)) {
    settle(config.model.region_outputs, data.class_count(), "model.region_outputs", origin);
  }
  check_sequence(config, data);
}

void check_validation(const TrainConfig& config, const Dataset& data) {
  const std::string origin = "the validation data " + config.data.validation.front();
  require(config.model.feature_width, data.feature_width(), "model.feature_width", origin);
  if (wants_classes(config, data, origin)) {
    require(config.model.region_outputs, data.class_count(), "model.region_outputs", origin);
  }
  check_sequence(config, data);
}

}  // namespace

TrainingParts open_parts(TrainConfig& config, int64_t local_rank) {
  if (config.data.train.empty()) {
    throw UserError({.what = "data.train is empty",
                     .where = "the configuration",
                     .allowed = "shards, or folders of shards",
                     .hint = "make shards with `capture_data import-images`, then --set 'data.train=[\"…\"]'"});
  }
  TrainingParts parts{.device = device_of(config.trainer.device, local_rank),
                      .tokenizer = load_tokenizer(config.tokenizer),
                      .training = open_data(config.data.train),
                      .validation = std::nullopt};
  if (!config.data.validation.empty()) parts.validation = open_data(config.data.validation);

  settle(config.model.vocabulary_size, parts.tokenizer->vocabulary_size(), "model.vocabulary_size",
         "the tokenizer " + config.tokenizer.file);
  settle_by_training(config, parts.training);
  if (parts.validation) check_validation(config, *parts.validation);
  return parts;
}

}  // namespace capture
