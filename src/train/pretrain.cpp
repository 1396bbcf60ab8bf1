#include "capture/train/pretrain.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <memory>
#include <utility>

#include "capture/base/config.h"
#include "capture/base/error.h"
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

/// Where trainer.epochs decides on the length, the data must be known first.
void require_room_for_warmup(const TrainConfig& config, const RunLength& length) {
  if (config.schedule.warmup_steps <= length.total_steps) return;
  throw UserError(
      {.what = "schedule.warmup_steps is " + std::to_string(config.schedule.warmup_steps) +
               ", longer than the run of " + std::to_string(length.total_steps) + " steps",
       .where = "the configuration",
       .allowed = "at most trainer.epochs x " + std::to_string(length.steps_per_epoch) + " steps an epoch"});
}

void describe(const TrainingParts& parts, const HybridStreamModel& model, const RunLength& length) {
  log::info("{} parameters, {} training samples, {} steps in epochs of {}, on {} with {} threads",
            count_of(named_parameters_of(*model)), parts.training.size(), length.total_steps, length.steps_per_epoch,
            parts.device.str(), at::get_num_threads());
}

/// What rank 0 has, on every process.
Json share(const ProcessGroup& group, const Json& own) {
  std::string text = to_line(own);
  at::Tensor length = at::full({}, static_cast<int64_t>(text.size()), at::kLong);
  group.broadcast({length});
  at::Tensor bytes = at::empty({length.item<int64_t>()}, at::kByte);
  if (group.rank() == 0) std::memcpy(bytes.mutable_data_ptr(), text.data(), text.size());
  group.broadcast({bytes});
  const auto* start = static_cast<const char*>(bytes.const_data_ptr());
  return parse_json({start, static_cast<size_t>(bytes.numel())}, "rank 0").root;
}

/// Rank 0 alone looks into the folder: all must go on from the same step, and others may not even see its disk.
std::unique_ptr<RunFolder> look_into(const TrainRequest& request, const ProcessGroup& group) {
  if (group.alone()) return std::make_unique<RunFolder>(request.output, request.resume);
  std::unique_ptr<RunFolder> folder;
  Json verdict = Json::object();
  std::exception_ptr refusal;
  if (group.rank() == 0) {
    try {
      folder = std::make_unique<RunFolder>(request.output, request.resume);
      if (const auto& start = folder->start()) {
        verdict = {{"folder", start->folder.string()}, {"step", start->step}, {"state", start->state}};
      }
    } catch (const UserError& error) {
      verdict["refusal"] = error.what();
      refusal = std::current_exception();
    }
  }
  verdict = share(group, verdict);
  if (refusal) std::rethrow_exception(refusal);
  if (verdict.contains("refusal")) throw UserError({.what = verdict["refusal"].get<std::string>(), .where = "rank 0"});
  if (folder) return folder;
  std::optional<Checkpoint> start;
  if (verdict.contains("step")) {
    start = Checkpoint{verdict["folder"].get<std::string>(), verdict["step"].get<int64_t>(), verdict["state"]};
  }
  return std::make_unique<RunFolder>(request.output, std::move(start));
}

/// The file that the configuration names; where there is none, because a run folder was moved, the copy in the folder.
std::string tokenizer_file(const TokenizerOptions& tokenizer, const RunFolder& folder) {
  if (tokenizer.file.empty() || is_there(tokenizer.file)) return tokenizer.file;
  const std::filesystem::path run = folder.start() ? run_of(*folder.start()) : folder.path();
  const std::filesystem::path copy = tokenizer_copy(run, tokenizer.type);
  return is_there(copy) ? copy.string() : tokenizer.file;
}

/// `file` is where the tokenizer was read from.
void compare_tokenizers(const Checkpoint& start, const TrainingParts& parts, const std::string& file,
                        TokenizerType type) {
  if (start.state.at("tokenizer") == parts.tokenizer->fingerprint()) return;
  throw UserError({.what = "the tokenizer " + file + " is not the one that the checkpoint was trained with",
                   .where = start.folder.string(),
                   .hint = "name that one in tokenizer.file; a run folder keeps a copy, here " +
                           tokenizer_copy(run_of(start), type).string()});
}

void compare_with(const Checkpoint& start, const TrainConfig& config, const TrainingParts& parts,
                  const std::string& tokenizer, const ProcessGroup& group) {
  compare_processes(start.state, config.loader.batch_size, group.world_size());
  Json saved = start.state.at("config");
  const bool regrouped = start.state.value("world_size", group.world_size()) != group.world_size();
  if (regrouped) saved["loader"]["batch_size"] = config.loader.batch_size;
  // What a tokenizer says matters, not where it lies. Checkpoints of earlier versions know that place alone.
  const bool fingerprinted = start.state.contains("tokenizer");
  if (fingerprinted) saved["tokenizer"]["file"] = config.tokenizer.file;
  compare_configs(saved, to_json(config));
  if (fingerprinted) compare_tokenizers(start, parts, tokenizer, config.tokenizer.type);
}

/// The same paths may lead to other files on another machine.
void require_same_input(const TrainConfig& config, const TrainingParts& parts, const ProcessGroup& group) {
  group.require_same("the configuration", to_text(to_json(config)));
  group.require_same("the kind of device", parts.device.is_cuda() ? "a GPU" : "a CPU");
  group.require_same("the content of data.train", parts.training.fingerprint());
  if (parts.validation) group.require_same("the content of data.validation", parts.validation->fingerprint());
  group.require_same("the content of tokenizer.file", parts.tokenizer->fingerprint());
}

/// `initialized`: how the optimiser groups the parameters, whose moments travel by their place.
void require_same_start(const std::vector<std::string>& initialized, const ProcessGroup& group) {
  group.require_same("the list of BERT's parameters in --init", to_line(Json(initialized)));
}

/// Rank 0 writes everything but the other ranks' logs, once every process has found its input in order and the same.
/// `tokenizer` is the file that was read.
void begin_folder(RunFolder& folder, const TrainConfig& config, const std::string& tokenizer,
                  const ProcessGroup& group) {
  group.barrier();
  if (group.rank() == 0) {
    folder.open();
    // The first file is the one that makes it a run folder.
    write_file(folder.path() / "config.resolved.json", to_text(to_json(config)));
    write_file(tokenizer_copy(folder.path(), config.tokenizer.type), read_file(tokenizer));
    log_to_file(folder.path() / "log.txt");
  }
  group.barrier();
  if (group.rank() > 0) {
    make_folder(folder.path());
    log_to_file(folder.path() / fmt::format("log.rank{}.txt", group.rank()));
  }
  if (!group.alone()) log::info("rank {} of {} is process {}", group.rank(), group.world_size(), ::getpid());
}

}  // namespace

TrainOutcome pretrain(const TrainRequest& request, const ProcessGroup& group) {
  TrainerSurroundings surroundings{.start = request.start};
  TrainConfig config = request.config;
  const auto opened = look_into(request, group);
  RunFolder& folder = *opened;
  const std::string named = std::exchange(config.tokenizer.file, tokenizer_file(config.tokenizer, folder));
  TrainingParts parts = open_parts(config, group.local_rank());
  const std::string tokenizer = std::exchange(config.tokenizer.file, named);
  require_same_input(config, parts, group);
  const RunLength length = length_of(config, pairs_an_epoch(parts.training, config.loader), group.world_size());
  require_room_for_warmup(config, length);
  tune_cpu_runtime(config.trainer.threads);
  if (config.evaluation.wanted() && request.make_evaluation) {
    surroundings.evaluation = request.make_evaluation(config, parts, group);
  }
  if (folder.start()) compare_with(*folder.start(), config, parts, tokenizer, group);

  std::vector<std::string> initialized;
  HybridStreamModel model(config.model, static_cast<uint64_t>(config.trainer.seed));
  if (folder.start()) {
    if (group.rank() == 0) load_weights(SafetensorsFile(folder.start()->model()), *model);
    folder.start()->state.at("initialized").get_to(initialized);
  } else if (!request.init.empty()) {
    initialized = start_from(request.init, *model);
  }
  require_same_start(initialized, group);
  group.use(parts.device);
  model->recompute(config.trainer.recompute);
  model->to(parts.device);
  model->train();

  Trainer trainer(config, parts, model, std::move(initialized), folder, group, std::move(surroundings));
  begin_folder(folder, config, tokenizer, group);
  describe(parts, model, length);
  if (folder.start()) log::info("going on after step {} of {}", folder.start()->step, folder.start()->folder.string());
  return trainer.run();
}

}  // namespace capture
