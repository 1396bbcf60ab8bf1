// Figures of a model: embed, search, measure, report.
#include <ATen/ATen.h>

#include <array>
#include <cstdio>
#include <optional>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/model/weights.h"
#include "capture/report/text_table.h"
#include "capture/tensor/npy.h"
#include "capture/tensor/runtime.h"
#include "capture_eval/arguments.h"
#include "capture_eval/output_folder.h"
#include "capture_eval/report_input.h"
#include "capture_eval/result_files.h"
#include "capture_eval/with_torch/collection.h"
#include "capture_eval/with_torch/cross_modal_figures.h"
#include "capture_eval/with_torch/report_input.h"
#include "capture_eval/with_torch/systems.h"
#include "common/with_torch/subject.h"

namespace capture {

namespace {

class ModelEvaluation {
 public:
  explicit ModelEvaluation(const EvalArguments& arguments)
      : arguments_(arguments),
        merge_(arguments.merge == "rank" ? Merge::rank : Merge::score),
        ways_(ways_of(arguments)),
        subject_(find_subject(arguments.model)),
        device_(parse_device(arguments.model.device)),
        collection_(arguments),
        tokenizer_(load_tokenizer(subject_.tokenizer)) {
    if (!arguments.unseen_labels.empty()) split_.emplace(arguments.unseen_labels, collection_.truth);
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
    if (split_) breakdowns_.push_back(label_part_table(model_system().evaluation, rankings_, *split_));
    print();
    if (output_) write();
  }

 private:
  void write_lists() {
    write_product_list(output_->file("gallery_list.txt"), collection_.gallery_list.products);
    write_product_list(output_->file("query_list.txt"), collection_.query_list.products);
  }

  ModelVectors embedded(HybridStreamModel& model, const std::vector<Way>& ways, const std::string& name) const {
    return embed_collection(collection_, model, {subject_, *tokenizer_, device_}, ways, name);
  }

  System measured(std::string name, std::string note, const Rankings& rankings) const {
    return {std::move(name), std::move(note), evaluate(collection_.truth, rankings, arguments_.evaluation)};
  }

  System features() const {
    const int64_t regions = subject_.embedder.max_regions;
    const at::Tensor queries = mean_features(collection_.queries, regions).to(device_);
    const at::Tensor gallery = mean_features(collection_.gallery, regions).to(device_);
    const Rankings rankings = rank(queries, gallery, collection_.truth, {.depth = collection_.depth});
    return measured("raw region features", "mean over regions, cosine", rankings);
  }

  /// A model that never compared photos with titles cannot rank by that: where the recipe's sides differ, like against
  /// like is measured too, so that the baseline is no straw man.
  void untrained(const HybridStreamModelOptions& options) {
    const uint64_t seed = arguments_.seed.value_or(subject_.seed);
    HybridStreamModel model(options, seed);
    const Way way = ways_.front();
    const Way alike{way.mode, {way.recipe.stage, RecipeFusion::sum, RecipeFusion::sum}};
    const ModelVectors vectors = embedded(model, {way, alike}, "untrained");
    const std::string note = "as it starts with seed " + std::to_string(seed);
    const auto ranked_by = [&](Way by) { return ranked(collection_, vectors, by, merge_, device_); };
    systems_.push_back(measured("untrained model", note, ranked_by(way)));
    if (way.recipe.query == way.recipe.gallery) return;
    systems_.push_back(measured("untrained model, " + name_of(alike.recipe), note, ranked_by(alike)));
  }

  void pretrained(HybridStreamModel& model) {
    const ModelVectors vectors = embedded(model, ways_, "pretrained");
    main_ = systems_.size();
    for (const Way& way : ways_) {
      Rankings rankings = ranked(collection_, vectors, way, merge_, device_);
      std::string name = "pretrained model";
      if (arguments_.modes.size() > 1) name += std::string(", ") + name_of(way.mode);
      if (ways_.size() > arguments_.modes.size()) name += ", " + name_of(way.recipe);
      systems_.push_back(measured(name, description_of(way, merge_), rankings));
      if (systems_.size() == main_ + 1) rankings_ = std::move(rankings);
    }
    const QueryVectors& asked = vectors.queries.at(way().mode);
    query_ids_ = question_ids(collection_, asked);
    query_vectors_ = apply(way().recipe, RecipeSide::query, asked.questions);
    gallery_vectors_ = apply(way().recipe, RecipeSide::gallery, vectors.gallery);
    if (arguments_.cross_modal) measure_cross_modal(model, vectors);
  }

  void measure_cross_modal(HybridStreamModel& model, const ModelVectors& vectors) {
    const Way whole{QueryMode::whole, {RecipeStage::pre, RecipeFusion::sum, RecipeFusion::sum}};
    const auto known = vectors.queries.find(QueryMode::whole);
    const PairEmbeddings queries = known != vectors.queries.end()
                                       ? known->second.questions
                                       : embedded(model, {whole}, "pretrained").queries.at(whole.mode).questions;
    cross_modal_ = {measure_cross_modal_set("gallery", collection_.gallery_list, vectors.gallery),
                    measure_cross_modal_set("queries", collection_.query_list, queries)};
    breakdowns_.push_back(cross_modal_table(cross_modal_));
  }

  Way way() const { return ways_.front(); }
  /// The system that files and report are about.
  const System& model_system() const { return systems_[main_]; }

  void print() const {
    log_odd_lines(model_system().evaluation);
    std::vector<ReportTable> tables = system_tables(systems_);
    tables.insert(tables.end(), breakdowns_.begin(), breakdowns_.end());
    for (size_t i = 0; i < tables.size(); ++i) {
      std::printf("%s%s", i > 0 ? "\n" : "", text_table(tables[i]).c_str());
      if (!tables[i].note.empty()) std::printf("%s\n", tables[i].note.c_str());
    }
  }

  void write() {
    write_rankings(output_->file("retrieval_id_list.txt"), rankings_, collection_.truth);
    if (arguments_.trec.value_or(true)) write_trec(*output_, rankings_, collection_.truth);
    write_vectors();
    write_query_files(*output_, collection_.truth, rankings_, model_system().evaluation, split_ ? &*split_ : nullptr);
    write_systems(*output_, collection_.truth, systems_);
    if (!cross_modal_.empty()) write_cross_modal(*output_, cross_modal_);
    output_->folder("report_files");
    if (arguments_.report.value_or(true)) write_report(output_->file("report.html"), report());
    write_file(output_->file("metrics.json"),
               to_text(metrics_json(collection_.truth, rankings_, model_system().evaluation, about())));
    output_->commit();
    log::info("results are in {}", output_->path().string());
  }

  void write_vectors() {
    std::vector<std::string> gallery_ids;
    for (const ListedProduct& product : collection_.gallery_list.products) gallery_ids.push_back(product.id);
    const std::vector<NamedVectors> sets = {{"gallery", gallery_vectors_, gallery_ids},
                                            {"queries", query_vectors_, query_ids_}};
    write_embeddings(output_->file("embeddings.safetensors"), sets, name_of(way().recipe));
    for (const NamedVectors& set : sets) {
      write_npy(output_->file(set.name + ".npy"), set.vectors);
      std::string ids;
      for (const std::string& id : set.ids) ids += id + "\n";
      write_file(output_->file(set.name + "_ids.txt"), ids);
    }
  }

  /// What metrics.json says besides figures.
  Json about() const {
    const auto checksum_of = [](const std::filesystem::path& path) {
      return to_hex(checksum(MappedFile(path).bytes()));
    };
    Json json = {{"protocol", protocol_json(arguments_.evaluation)},
                 {"recipe", name_of(way().recipe)},
                 {"mode", name_of(way().mode)},
                 {"depth", collection_.depth},
                 {"precision", arguments_.model.bfloat16 ? "bfloat16" : "float32"},
                 {"max_tokens", subject_.embedder.max_tokens},
                 {"max_regions", kept_regions(collection_.gallery, subject_.embedder.max_regions)},
                 {"systems", systems_json(systems_)},
                 {"model", {{"name", subject_.name}, {"weights", subject_.weights.string()}}},
                 {"inputs",
                  {{"gallery", collection_.gallery.fingerprint()},
                   {"queries", collection_.queries.fingerprint()},
                   {"tokenizer", tokenizer_->fingerprint()},
                   {"weights", checksum_of(subject_.weights)},
                   {"configuration", to_hex(checksum(subject_.configuration))}}}};
    if (way().mode == QueryMode::instances) json["merge"] = arguments_.merge;
    if (split_) {
      json["inputs"]["unseen_labels"] = checksum_of(arguments_.unseen_labels);
      json["label_parts"] = label_parts_json(model_system().evaluation, rankings_, *split_);
    }
    if (!cross_modal_.empty()) json["cross_modal"] = cross_modal_json(cross_modal_);
    if (!subject_.configuration.empty()) {
      json["configuration"] = parse_json(subject_.configuration, (subject_.run / "config.resolved.json").string()).root;
    }
    json["version"] = CAPTURE_VERSION;
    return json;
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
    input.breakdowns.insert(input.breakdowns.end(), breakdowns_.begin(), breakdowns_.end());
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
            {"Embedding recipe", name_of(way().recipe)},
            {"Shown of a query", name_of(way().mode)},
            {"Vector width", std::to_string(gallery_vectors_.size(1))},
            {"Precision", arguments_.model.bfloat16 ? "bfloat16" : "float32"},
            {"Weights", subject_.weights.string()},
            {"Version", CAPTURE_VERSION}};
  }

  const EvalArguments& arguments_;
  Merge merge_;
  std::vector<Way> ways_;
  Subject subject_;
  at::Device device_;
  Collection collection_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<LabelSplit> split_;
  std::optional<OutputFolder> output_;

  int64_t parameters_ = 0;
  std::vector<System> systems_;
  size_t main_ = 0;
  Rankings rankings_;
  at::Tensor query_vectors_;
  std::vector<std::string> query_ids_;
  at::Tensor gallery_vectors_;
  std::vector<CrossModalSet> cross_modal_;
  std::vector<ReportTable> breakdowns_;
};

}  // namespace

void evaluate_model(const EvalArguments& arguments) {
  tune_cpu_runtime(arguments.model.threads);
  ModelEvaluation(arguments).run();
}

}  // namespace capture
