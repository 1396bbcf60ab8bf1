// Figures of a model: embed, search, measure, report.
#include <ATen/ATen.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/base/progress.h"
#include "capture/model/weights.h"
#include "capture/report/text_table.h"
#include "capture/retrieval/ranker.h"
#include "capture/retrieval/recipe.h"
#include "capture/tensor/runtime.h"
#include "capture_eval/arguments.h"
#include "capture_eval/output_folder.h"
#include "capture_eval/report_input.h"
#include "capture_eval/result_files.h"
#include "capture_eval/with_torch/report_input.h"
#include "capture_eval/with_torch/systems.h"
#include "common/with_torch/subject.h"

namespace capture {

namespace {

constexpr int64_t kSmallGallery = 10000;
constexpr int64_t kDepthOfLarge = 1000;
constexpr const char* kDefaultRecipe = "pre.sum";

std::vector<Recipe> recipes_of(const EvalArguments& arguments) {
  std::vector<Recipe> recipes;
  for (const std::string& name : arguments.recipes) {
    if (name != "all") {
      recipes.push_back(parse_recipe(name));
      continue;
    }
    for (const Recipe recipe : all_recipes()) recipes.push_back(recipe);
  }
  if (recipes.empty()) recipes.push_back(parse_recipe(kDefaultRecipe));
  return recipes;
}

/// Both datasets as the model sees them, and as lists.
struct Collection {
  explicit Collection(const EvalArguments& arguments)
      : gallery(arguments.gallery),
        queries(arguments.queries),
        gallery_list(product_list(gallery, "gallery")),
        query_list(product_list(queries, "queries")),
        truth(gallery_list, std::span(&query_list, 1)) {
    const int64_t all = gallery.size() <= kSmallGallery ? gallery.size() : kDepthOfLarge;
    const int64_t wanted = arguments.depth > 0 ? arguments.depth : all;
    depth = std::max(wanted, std::ranges::max(arguments.evaluation.at));
  }

  Dataset gallery;
  Dataset queries;
  ProductList gallery_list;
  ProductList query_list;
  GroundTruth truth;
  int64_t depth;
};

/// Embeddings of the two sides.
struct Embedded {
  PairEmbeddings gallery;
  PairEmbeddings queries;
};

class ModelEvaluation {
 public:
  explicit ModelEvaluation(const EvalArguments& arguments)
      : arguments_(arguments),
        recipes_(recipes_of(arguments)),
        subject_(find_subject(arguments.model)),
        device_(parse_device(arguments.model.device)),
        collection_(arguments),
        tokenizer_(load_tokenizer(subject_.tokenizer)) {
    if (!arguments.output.empty()) {
      output_.emplace(arguments.output);
    } else if (!subject_.run.empty()) {
      output_.emplace(subject_.run / "eval");
    }
  }

  void run() {
    // What cannot stand in the files, and what strict refuses, is known before any time goes into embedding.
    if (output_) write_lists();
    System chance = chance_system(collection_.truth, collection_.depth, arguments_.evaluation);
    HybridStreamModel model = load_model(subject_.weights);
    const HybridStreamModelOptions options = model->options();
    for (const at::Tensor& parameter : model->parameters()) parameters_ += parameter.numel();
    if (arguments_.baselines) {
      systems_.push_back(std::move(chance));
      systems_.push_back(features());
      untrained(options);
    }
    pretrained(model);
    print();
    if (output_) write();
  }

 private:
  void write_lists() {
    write_product_list(output_->file("gallery_list.txt"), collection_.gallery_list.products);
    write_product_list(output_->file("query_list.txt"), collection_.query_list.products);
  }

  Rankings ranked(const at::Tensor& queries, const at::Tensor& gallery) const {
    return rank(queries.to(device_), gallery.to(device_), collection_.truth, {.depth = collection_.depth});
  }

  Rankings ranked(Recipe recipe, const Embedded& vectors) const {
    return ranked(apply(recipe, RecipeSide::query, vectors.queries),
                  apply(recipe, RecipeSide::gallery, vectors.gallery));
  }

  System measured(std::string name, std::string note, const Rankings& rankings) const {
    return {std::move(name), std::move(note), evaluate(collection_.truth, rankings, arguments_.evaluation)};
  }

  System features() const {
    const int64_t regions = subject_.embedder.max_regions;
    const Rankings rankings =
        ranked(mean_features(collection_.queries, regions), mean_features(collection_.gallery, regions));
    return measured("raw region features", "mean over regions, cosine", rankings);
  }

  /// A model that never compared photos with titles cannot rank by that: where the recipe's sides differ, like against
  /// like is measured too, so that the baseline is no straw man.
  void untrained(const HybridStreamModelOptions& options) {
    const uint64_t seed = arguments_.seed.value_or(subject_.seed);
    HybridStreamModel model(options, seed);
    const Embedded vectors = embedded(model, "untrained");
    const Recipe recipe = recipes_.front();
    const std::string note = "as it starts with seed " + std::to_string(seed);
    systems_.push_back(measured("untrained model", note, ranked(recipe, vectors)));
    if (recipe.query == recipe.gallery) return;
    const Recipe alike{recipe.stage, RecipeFusion::sum, RecipeFusion::sum};
    systems_.push_back(measured("untrained model, " + name_of(alike), note, ranked(alike, vectors)));
  }

  void pretrained(HybridStreamModel& model) {
    const Embedded vectors = embedded(model, "pretrained");
    main_ = systems_.size();
    for (const Recipe recipe : recipes_) {
      Rankings rankings = ranked(recipe, vectors);
      const std::string name = "pretrained model" + (recipes_.size() > 1 ? ", " + name_of(recipe) : "");
      systems_.push_back(measured(name, "recipe " + name_of(recipe), rankings));
      if (systems_.size() == main_ + 1) rankings_ = std::move(rankings);
    }
    query_vectors_ = apply(recipes_.front(), RecipeSide::query, vectors.queries);
    gallery_vectors_ = apply(recipes_.front(), RecipeSide::gallery, vectors.gallery);
  }

  Embedded embedded(HybridStreamModel& model, const std::string& name) {
    model->to(device_);
    const auto start = std::chrono::steady_clock::now();
    const int64_t total = collection_.gallery.size() + collection_.queries.size();
    ProgressBar progress("embedding, " + name, total, "pairs");
    Embedded vectors;
    const EmbeddingCache* const cache = subject_.cache ? &*subject_.cache : nullptr;
    vectors.gallery = embed_cached(cache, model, device_, collection_.gallery, *tokenizer_, subject_.embedder,
                                   [&](int64_t done) { progress.update(done); });
    vectors.queries = embed_cached(cache, model, device_, collection_.queries, *tokenizer_, subject_.embedder,
                                   [&](int64_t done) { progress.update(collection_.gallery.size() + done); });
    progress.clear();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    log::info("{} model: embedded {} pairs in {:.1f} s ({:.0f} a second)", name, total, seconds.count(),
              static_cast<double>(total) / seconds.count());
    return vectors;
  }

  const System& model_system() const { return systems_[main_]; }

  void print() const {
    log_odd_lines(model_system().evaluation);
    const std::vector<ReportTable> tables = system_tables(systems_);
    for (size_t i = 0; i < tables.size(); ++i) std::printf("%s%s", i > 0 ? "\n" : "", text_table(tables[i]).c_str());
  }

  void write() {
    write_rankings(output_->file("retrieval_id_list.txt"), rankings_, collection_.truth);
    const Recipe recipe = recipes_.front();
    write_embeddings(output_->file("embeddings.safetensors"),
                     {{"gallery", gallery_vectors_, &collection_.gallery_list},
                      {"queries", query_vectors_, &collection_.query_list}},
                     name_of(recipe));
    write_query_files(*output_, collection_.truth, rankings_, model_system().evaluation);
    output_->folder("report_files");
    if (arguments_.report.value_or(true)) write_report(output_->file("report.html"), report());
    const Json about = {{"recipe", name_of(recipe)},
                        {"systems", systems_json(systems_)},
                        {"model", {{"name", subject_.name}, {"weights", subject_.weights.string()}}},
                        {"inputs",
                         {{"gallery", collection_.gallery.fingerprint()},
                          {"queries", collection_.queries.fingerprint()},
                          {"tokenizer", tokenizer_->fingerprint()}}}};
    write_file(output_->file("metrics.json"),
               to_text(metrics_json(collection_.truth, rankings_, model_system().evaluation, about)));
    output_->commit();
    log::info("results are in {}", output_->path().string());
  }

  ReportInput report() const {
    const bool compared = arguments_.baselines && model_system().evaluation.strict;
    ReportInput input = report_input({.gallery = collection_.gallery,
                                      .queries = collection_.queries,
                                      .gallery_list = collection_.gallery_list,
                                      .query_list = collection_.query_list,
                                      .truth = collection_.truth,
                                      .rankings = rankings_,
                                      .systems = systems_,
                                      .model = model_system(),
                                      .reference = compared ? &systems_[1] : nullptr});
    input.dataset = arguments_.title.empty() ? arguments_.queries.front().string() : arguments_.title;
    input.run = subject_.name;
    if (!subject_.run.empty()) input.charts = training_charts(subject_.run / "metrics.jsonl");
    input.facts = facts();
    input.commands = {{"These figures", command_line(arguments_.command)}};
    input.configuration = subject_.configuration;
    return input;
  }

  std::vector<ReportFact> facts() const {
    const auto& truth = collection_.truth;
    return {{"Gallery", std::to_string(truth.gallery_size()) + " photos"},
            {"Queries", std::to_string(truth.queries().size()) + " photos"},
            {"Model parameters", std::to_string(parameters_)},
            {"Embedding recipe", name_of(recipes_.front())},
            {"Vector width", std::to_string(gallery_vectors_.size(1))},
            {"Precision", arguments_.model.bfloat16 ? "bfloat16" : "float32"},
            {"Weights", subject_.weights.string()},
            {"Version", CAPTURE_VERSION}};
  }

  const EvalArguments& arguments_;
  std::vector<Recipe> recipes_;
  Subject subject_;
  at::Device device_;
  Collection collection_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<OutputFolder> output_;

  int64_t parameters_ = 0;
  std::vector<System> systems_;
  size_t main_ = 0;  // the system that files and report are about
  Rankings rankings_;
  at::Tensor query_vectors_;
  at::Tensor gallery_vectors_;
};

}  // namespace

void evaluate_model(const EvalArguments& arguments) {
  tune_cpu_runtime(arguments.model.threads);
  ModelEvaluation(arguments).run();
}

}  // namespace capture
