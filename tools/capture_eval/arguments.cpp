#include "capture_eval/arguments.h"

#include <algorithm>
#include <map>

#include "common/choice.h"

namespace capture {

namespace {

const std::map<std::string, Protocol> kProtocols = {
    {"product1m_official", Protocol::product1m_official}, {"strict", Protocol::strict}, {"both", Protocol::both}};

void add_ranking_options(CLI::App& app, EvalArguments& arguments) {
  app.add_option("--rankings", arguments.rankings, "Ranking file: query_id,gallery_id0,… a line, best first")
      ->group("Measure rankings");
  app.add_option("--gallery-list", arguments.gallery_list, "Product list of the gallery")->group("Measure rankings");
  app.add_option("--query-list", arguments.query_lists, "Product list of queries; may be repeated")
      ->group("Measure rankings");
}

void add_measuring_options(CLI::App& app, EvalArguments& arguments) {
  const char* const group = "Measure a model";
  add_model_options(app, arguments.model, group);
  app.add_option("--gallery", arguments.gallery, "Shards of the gallery")->group(group);
  app.add_option("--queries", arguments.queries, "Shards of the queries")->group(group);
  app.add_option("--recipe", arguments.recipes,
                 "Embedding recipe, pre.sum by default: {pre,post}.{concat,sum,text,image}, or one a side as in "
                 "pre.image-to-text; repeat to compare, or all. "
                 "Rankings and report are those of the first")
      ->group(group);
  app.add_option("--mode", arguments.modes,
                 "What of a query is shown: whole, text, image, or instances (each region as a photo of its own, the "
                 "rankings merged); repeat to compare. Rankings and report are those of the first")
      ->check(CLI::IsMember({"whole", "text", "image", "instances"}))
      ->default_str("whole")
      ->group(group);
  app.add_option("--merge", arguments.merge, "How rankings of instances are merged: by their best score or rank")
      ->check(CLI::IsMember({"score", "rank"}))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--cross-modal", arguments.cross_modal,
               "Also measure how well titles find their own photos and photos their titles, Recall@1, 5 and 10")
      ->group(group);
  app.add_flag("--baselines", arguments.baselines, "Also measure chance, raw region features and the untrained model")
      ->group(group);
  app.add_option("--depth", arguments.depth, "Ranked items a query; by default all of up to 10000, else 1000")
      ->check(CLI::Range(1, 1 << 30))
      ->group(group);
  app.add_option("--seed", arguments.seed, "Seed of the untrained model; by default the run's, or 42")->group(group);
}

}  // namespace

void add_options(CLI::App& app, EvalArguments& arguments) {
  add_ranking_options(app, arguments);
  add_measuring_options(app, arguments);
  app.add_option("--protocol", arguments.evaluation.protocol,
                 "product1m_official (the published script's figures), strict (standard definitions) or both")
      ->transform(one_of(kProtocols))
      ->type_name("TEXT")
      ->default_str("both");
  app.add_option("--at", arguments.evaluation.at, "Cutoffs N")
      ->delimiter(',')
      ->check(CLI::Range(1, 1000000))
      ->default_str("10,50,100");
  app.add_flag("--skip-unanswerable", arguments.evaluation.skip_unanswerable,
               "strict leaves out queries that the gallery has no item for, and says how many");
  app.add_flag_function(
      "--report,!--no-report", [&arguments](int64_t given) { arguments.report = given > 0; },
      "Write report.html; by default for a model, not for rankings");
  app.add_option("--unseen-labels", arguments.unseen_labels,
                 "Labels that training never showed, one a line: also measures their queries apart");
  app.add_flag_function(
      "--trec,!--no-trec", [&arguments](int64_t given) { arguments.trec = given > 0; },
      "Write run.trec and qrels.trec for trec_eval and its kin; by default for a model, not for rankings");
  app.add_option("--title", arguments.title, "What the report calls the data");
  app.add_option("--output", arguments.output, "Folder for metrics.json and the other results; <run>/eval by default");
}

void settle(EvalArguments& arguments) {
  std::vector<int64_t>& at = arguments.evaluation.at;
  std::ranges::sort(at);
  at.erase(std::ranges::unique(at).begin(), at.end());
  const bool rankings = !arguments.rankings.empty();
  if (rankings + !arguments.model.run.empty() + !arguments.model.model.empty() != 1) {
    throw CLI::RequiredError("exactly one of --rankings, --run and --model");
  }
  if (rankings && (arguments.gallery_list.empty() || arguments.query_lists.empty())) {
    throw CLI::RequiredError("--rankings also needs --gallery-list and --query-list");
  }
  if (rankings && arguments.report.value_or(false) && arguments.output.empty()) {
    throw CLI::RequiredError("--report of rankings also needs --output");
  }
  if (!rankings && (arguments.gallery.empty() || arguments.queries.empty())) {
    throw CLI::RequiredError("a model also needs --gallery and --queries");
  }
  check(arguments.model);
}

}  // namespace capture
