// capture_eval: how good are rankings, a run's or anybody's.
#include "capture_eval/arguments.h"
#include "common/program.h"

namespace capture {

namespace {

const std::map<std::string, Protocol> kProtocols = {
    {"product1m_official", Protocol::product1m_official}, {"strict", Protocol::strict}, {"both", Protocol::both}};

void add_options(CLI::App& app, EvalArguments& arguments) {
  CLI::Option* const rankings =
      app.add_option("--rankings", arguments.rankings,
                     "Measure this file (query_id,gallery_id0,… a line, best first) instead of a model");
  CLI::Option* const gallery_list =
      app.add_option("--gallery-list", arguments.gallery_list, "Product list of the gallery, for --rankings");
  CLI::Option* const query_list =
      app.add_option("--query-list", arguments.query_lists, "Product list of queries, for --rankings; may be repeated");
  rankings->needs(gallery_list)->needs(query_list)->required();
  app.add_option("--protocol", arguments.evaluation.protocol,
                 "product1m_official (the published script's figures), strict (standard definitions) or both")
      ->transform(CLI::CheckedTransformer(kProtocols))
      ->default_str("both");
  app.add_option("--at", arguments.evaluation.at, "Cutoffs N")
      ->delimiter(',')
      ->check(CLI::Range(1, 1000000))
      ->default_str("10,50,100");
  app.add_flag("--skip-unanswerable", arguments.evaluation.skip_unanswerable,
               "strict leaves out queries that the gallery has no item for, and says how many");
  app.add_option("--output", arguments.output, "Folder for metrics.json and the other results");
}

}  // namespace

}  // namespace capture

int main(int argc, char** argv) {
  CLI::App app("Measures retrieval: published and standard metrics of a run or of ranking files.", "capture_eval");
  app.footer(
      "Example: capture_eval --rankings retrieval_id_list.txt --gallery-list product1m_gallery_ossurl_v2.txt \\\n"
      "           --query-list product1m_test_ossurl_v2.txt --query-list product1m_dev_ossurl_v2.txt --output eval");
  capture::EvalArguments arguments;
  capture::add_options(app, arguments);
  return capture::run_program(app, argc, argv, [&] { capture::evaluate_rankings(arguments); });
}
