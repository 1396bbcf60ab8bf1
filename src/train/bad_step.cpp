#include "capture/train/bad_step.h"

#include <cmath>
#include <exception>
#include <string>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/json.h"
#include "capture/base/log.h"
#include "capture/base/sentence.h"
#include "capture/data/loader.h"
#include "capture/train/bad_numbers.h"
#include "capture/train/train_step.h"

namespace capture {

namespace {

std::vector<std::string> ids_of(const Dataset& data, const std::vector<int64_t>& samples) {
  std::vector<std::string> ids;
  for (const int64_t sample : samples) ids.emplace_back(data.sample(sample).id());
  return ids;
}

struct Findings {
  std::string where;  // empty: nothing was found
  std::vector<std::string> culprits;
  Json batches = Json::array();  // ids
  std::string failure;           // why there is no more
};

void examine(const TrainConfig& config, const TrainingParts& parts, const HybridStreamModel& model,
             const ProcessGroup& group, const StepBatches& step, Findings& findings) {
  LoaderOptions options = config.loader;
  options.workers = 0;
  Loader loader(
      parts.training, *parts.tokenizer, options, config.masking,
      {.first_epoch = step.epoch, .first_batch = step.first, .rank = group.rank(), .world_size = group.world_size()});
  for (int64_t i = 0; i < step.count; ++i) {
    const Batch batch = *loader.next();
    findings.batches.push_back(ids_of(parts.training, batch.samples));
    if (!findings.where.empty()) continue;
    seed_dropout(parts.device, config.trainer.seed, step.step - 1, i, group.rank());
    const auto bad = find_bad_numbers(model, batch, config.objective, parts.device, config.trainer.precision);
    if (!bad) continue;
    findings.where = bad->where;
    std::vector<int64_t> samples;
    for (const int64_t row : bad->rows) samples.push_back(batch.samples[static_cast<size_t>(row)]);
    findings.culprits = ids_of(parts.training, samples);
  }
}

std::string listed(const std::vector<std::string>& ids) {
  std::string text;
  for (const auto& id : ids) text += (text.empty() ? "" : ", ") + id;
  return text;
}

void tell(const StepBatches& step, const Findings& findings, const std::string& file) {
  if (!findings.failure.empty()) {
    log::warn("step {}: where its numbers went wrong cannot be found out: {}", step.step, findings.failure);
  } else if (findings.where.empty()) {
    log::warn("step {}: run again, its batches gave finite numbers alone; the ids of its pairs are in {}", step.step,
              file);
  } else {
    log::warn("step {}: the first number that is not finite is in {}; {}; the ids of all pairs are in {}", step.step,
              findings.where,
              findings.culprits.empty() ? "no pair gives it alone" : "pairs that give it: " + listed(findings.culprits),
              file);
  }
}

}  // namespace

void explain_bad_step(const TrainConfig& config, const TrainingParts& parts, const HybridStreamModel& model,
                      const ProcessGroup& group, const StepBatches& step, const Meter::Values& values,
                      const std::filesystem::path& folder) {
  Findings findings;
  try {
    examine(config, parts, model, group, step, findings);
  } catch (const std::exception& error) {
    // Beside recorded steps a GPU may lack the memory. The run skips this step, and does not end for want of its story.
    findings.failure = sentence_of(error);
  }
  if (findings.where.empty() && findings.failure.empty() && group.rank() != 0) return;
  const std::string rank = group.rank() == 0 ? "" : ".rank" + std::to_string(group.rank());
  const auto file = folder / ("step_" + std::to_string(step.step) + rank + ".json");
  Json json = {{"step", step.step},
               {"epoch", step.epoch},
               {"first_bad_number", findings.where.empty() ? Json() : Json(findings.where)},
               {"pairs_that_give_it", findings.culprits},
               {"batches", findings.batches}};
  for (size_t i = 0; i < values.size(); ++i) {
    json[Meter::kNames[i]] = std::isfinite(values[i]) ? Json(values[i]) : Json(std::to_string(values[i]));
  }
  try {
    std::error_code ignored;
    std::filesystem::create_directory(folder, ignored);  // and no run folder around it that was renamed meanwhile
    write_file(file, to_text(json));
  } catch (const UserError& error) {
    log::warn("{}", error.what());
  }
  tell(step, findings, file.string());
}

}  // namespace capture
