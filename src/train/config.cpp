#include "capture/train/config.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace capture {

namespace {

void require_paths(FieldChecker& c, const std::vector<std::string>& paths, const std::string& key) {
  c.require(std::ranges::find(paths, "") == paths.end(), key, "has an empty path",
            "shards, or folders of shards; none: []");
}

}  // namespace

void DataOptions::visit(FieldVisitor& f) {
  f.field("train", train, "Shards, or folders of shards, to train on.");
  f.field("validation", validation, "Shards, or folders of shards, whose losses are measured in between.");
}

void DataOptions::check(FieldChecker& c) const {
  require_paths(c, train, "train");
  require_paths(c, validation, "validation");
}

void GalleryOptions::visit(FieldVisitor& f) {
  f.field("gallery", gallery, "Shards, or folders of shards, that are searched during training; empty: none.");
  f.field("queries", queries,
          "Shards, or folders of shards, whose pairs are looked for in the gallery by their labels.");
  f.field("recipe", recipe, "What is compared with what, as in `capture_eval --recipe`.");
  f.field("interval", interval, "Steps between two measurements; 0: after every epoch.", {0, int64_t{1} << 40});
}

void GalleryOptions::check(FieldChecker& c) const {
  c.require(gallery.empty() == queries.empty(), gallery.empty() ? "gallery" : "queries",
            "is empty and the other is not", "both gallery and queries, or neither");
  require_paths(c, gallery, "gallery");
  require_paths(c, queries, "queries");
}

void TrainerOptions::visit(FieldVisitor& f) {
  f.field("epochs", epochs, "Passes over the training data, where steps is 0.", {1, 1000000});
  f.field("steps", steps, "Length of the run in optimisation steps; 0: epochs decide.", {0, int64_t{1} << 40});
  f.field("accumulation", accumulation,
          "Batches whose gradients make one step. Masked losses are means over all masked positions of the step, so "
          "that accumulation changes nothing but the number of contrastive negatives.",
          {1, 65536});
  f.field("device", device, "auto, cpu, cuda or cuda:N.");
  f.choice("precision", precision, "Number format of matrix products; weights and losses stay float32.",
           Choices<Precision>{{"float32", Precision::float32}, {"bfloat16", Precision::bfloat16}});
  f.field("packed", packed,
          "Batches without padding, which on the CPU run in kernels of our own; false: padded batches and LibTorch's "
          "operations alone. Results are the same up to rounding and the places that dropout draws. On a GPU with "
          "cuda_graph, batches are padded.");
  // FBGEMM keeps tables of threads, which some thousand overrun.
  f.field("threads", threads, "CPU threads of the model; 0: as many as LibTorch finds.", {0, 1024});
  f.field("seed", seed, "Seed of initial weights and dropout (loader.seed: of order and masks).",
          {0, int64_t{1} << 52});
  f.field("log_interval", log_interval, "Steps between two lines of metrics.jsonl.", {1, int64_t{1} << 40});
  f.field("validation_interval", validation_interval, "Steps between two validations; 0: after every epoch.",
          {0, int64_t{1} << 40});
  f.field("checkpoint_interval", checkpoint_interval, "Steps between two checkpoints; 0: after every epoch.",
          {0, int64_t{1} << 40});
  f.field(
      "checkpoint_in_background", checkpoint_in_background,
      "Whether training goes on while a checkpoint is written, at the price of a copy of weights and moments in host "
      "memory.");
  f.field("keep_last", keep_last, "Newest checkpoints to keep; the best one is kept as well.", {1, 1000000});
  f.choice("best_metric", best_metric,
           "By what a checkpoint is the best: the lowest validation loss of this kind, or the highest strict mAP@10 of "
           "the evaluation.",
           Choices<BestMetric>{{"loss", BestMetric::loss},
                               {"masked_tokens", BestMetric::masked_tokens},
                               {"masked_regions", BestMetric::masked_regions},
                               {"contrastive", BestMetric::contrastive},
                               {"mAP@10", BestMetric::mean_average_precision}});
  f.field("max_bad_steps", max_bad_steps,
          "Steps in a row that may be skipped because a loss or gradient is not finite; one more ends the run.",
          {0, 1000000});
  f.field("stop_deadline_seconds", stop_deadline_seconds,
          "How long after SIGTERM, SIGINT or SIGUSR1 the step in flight and its checkpoint may take; then the process "
          "ends and the last complete checkpoint stands. 0: as long as it takes.",
          {0.0, 1e6});
  f.choice("recompute", recompute,
           "Gradient checkpointing: layers that keep only their inputs and are computed again in the backward pass, "
           "which takes less memory, more time, and changes no number.",
           Choices<Recompute>{
               {"none", Recompute::none}, {"co_transformer", Recompute::co_transformer}, {"all", Recompute::all}});
  f.field("cuda_graph", cuda_graph,
          "On one GPU, ask for a step's work in one call, a CUDA graph for each shape of batch, instead of kernel by "
          "kernel: for batches so small that the host cannot keep up. Off until tools/gpu_check has shown on your GPU "
          "that it pays. Results are the same up to rounding and, where batches are filled up to such a shape, the "
          "places that dropout draws.");
  f.field("profile_steps", profile_steps,
          "Steps to record, after the first three of a run, in the run folder's trace.json; 0: none.", {0, 100});
  f.field("patience", patience,
          "End the run when best_metric was measured this many times in a row without a new best; 0: never.",
          {0, 1000000});
  f.field(
      "time_limit", time_limit,
      "Minutes after which the run must have ended: it stops in time for another step and a checkpoint; 0: no limit.",
      {0.0, 1e6});
  f.field(
      "peak_tflops", peak_tflops,
      "10^12 operations a second that one device can do at most, for the share of it that training reaches (mfu); 0: "
      "from a table of GPUs, or measured at the start.",
      {0.0, 1e6});
}

void TrainConfig::visit(FieldVisitor& f) {
  f.section("model", model, "Sizes of the model; the defaults are the paper's.");
  f.section("tokenizer", tokenizer, "How titles become tokens.");
  f.section("data", data, "What to train on.");
  f.section("loader", loader, "How batches are made.");
  f.section("masking", masking, "What is hidden from the model.");
  f.section("objective", objective, "What the model is trained for.");
  f.section("optimizer", optimizer, "How the weights change.");
  f.section("schedule", schedule, "The learning rate over the run.");
  f.section("ema", ema, "A moving average of the weights.");
  f.section("evaluation", evaluation, "Retrieval measured during training.");
  f.section("trainer", trainer, "The run itself.");
  f.section("distributed", distributed, "Several processes that train together.");
}

namespace {

/// The key whose 0 leaves the objective of a metric nothing to learn from; null where it learns.
const char* idle_by(const TrainConfig& config, BestMetric metric) {
  switch (metric) {
    case BestMetric::masked_tokens:
      if (config.objective.masked_tokens == 0) return "objective.masked_tokens";
      return config.masking.token_probability == 0 ? "masking.token_probability" : nullptr;
    case BestMetric::masked_regions:
      if (config.objective.masked_regions == 0) return "objective.masked_regions";
      return config.masking.region_probability == 0 ? "masking.region_probability" : nullptr;
    case BestMetric::contrastive:
      return config.objective.contrastive == 0 ? "objective.contrastive" : nullptr;
    case BestMetric::loss:
    case BestMetric::mean_average_precision:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

void TrainConfig::check(FieldChecker& c) const {
  const bool learns = !idle_by(*this, BestMetric::masked_tokens) || !idle_by(*this, BestMetric::masked_regions) ||
                      !idle_by(*this, BestMetric::contrastive);
  c.require(learns, objective.masked_tokens > 0 ? "masking.token_probability" : "masking.region_probability",
            "is 0, and no other objective is left to learn from", "above 0, or objective.contrastive above 0");
  const char* idle = idle_by(*this, trainer.best_metric);
  c.require(idle == nullptr, "trainer.best_metric",
            std::string("is what is never learnt, because ") + (idle ? idle : "") + " is 0", "loss, or what is learnt");
  c.require(schedule.warmup_steps == 0 || trainer.steps == 0 || schedule.warmup_steps <= trainer.steps,
            "schedule.warmup_steps",
            "is " + std::to_string(schedule.warmup_steps) + ", longer than the run of " +
                std::to_string(trainer.steps) + " steps",
            "at most trainer.steps");
  c.require(loader.max_tokens <= model.text_positions, "loader.max_tokens",
            "is " + std::to_string(loader.max_tokens) + ", more than the model has positions for",
            "at most model.text_positions = " + std::to_string(model.text_positions));
  c.require(model.co_transformer.layers == 0 || loader.max_tokens <= model.co_transformer.first_region,
            "loader.max_tokens",
            "is " + std::to_string(loader.max_tokens) + ", but the co-transformer's regions start at position " +
                std::to_string(model.co_transformer.first_region),
            "at most model.co_transformer.first_region");
  c.require(!trainer.cuda_graph || trainer.recompute == Recompute::none, "trainer.cuda_graph",
            "is true, but layers that trainer.recompute computes twice cannot draw their dropout twice in a graph",
            "false, or trainer.recompute = none");
  const bool retrieval = trainer.best_metric == BestMetric::mean_average_precision;
  c.require(!retrieval || evaluation.wanted(), "trainer.best_metric", "is mAP@10, but evaluation.gallery is empty",
            "a validation loss, or a gallery and queries under evaluation");
  c.require(trainer.patience == 0 || (retrieval ? evaluation.wanted() : !data.validation.empty()), "trainer.patience",
            "is " + std::to_string(trainer.patience) + ", but trainer.best_metric is never measured",
            "data.validation, or a best_metric that is");
}

bool packs(const TrainConfig& config, at::Device device) {
  return config.trainer.packed && (device.is_cpu() || !config.trainer.cuda_graph);
}

ResumeEffect resume_effect(const std::string& key) {
  static constexpr std::array<std::string_view, 21> kHarmless = {
      "loader.workers",
      "loader.prefetch_megabytes",
      "loader.prefetch",
      "trainer.log_interval",
      "trainer.validation_interval",
      "trainer.keep_last",
      "trainer.max_bad_steps",
      "trainer.checkpoint_interval",
      "trainer.best_metric",
      "trainer.stop_deadline_seconds",
      "trainer.checkpoint_in_background",
      "trainer.recompute",
      "trainer.profile_steps",
      "trainer.patience",
      "trainer.time_limit",
      "trainer.peak_tflops",
      "data.train",  // the data themselves are compared
      "data.validation",
      "distributed.timeout_seconds",
      "distributed.overlap",
      "distributed.bind_cores",
  };
  if (key.starts_with("evaluation.")) return ResumeEffect::none;
  if (std::ranges::find(kHarmless, key) != kHarmless.end()) return ResumeEffect::none;
  if (key == "model.dropout" || key == "model.attention_dropout") return ResumeEffect::numbers;
  if (key.starts_with("model.") || key.starts_with("tokenizer.")) return ResumeEffect::weights;
  return ResumeEffect::numbers;
}

}  // namespace capture
