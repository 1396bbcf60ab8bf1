// capture_eval: how good are rankings, a model's or anybody's.
#include "capture_eval/arguments.h"
#include "capture_eval/compare.h"
#include "common/program.h"

namespace {

constexpr const char* kFooter = R"(
Examples:
  capture_eval --run runs/demo --gallery runs/demo/gallery --queries runs/demo/queries --baselines
  capture_eval --rankings retrieval_id_list.txt --gallery-list product1m_gallery_ossurl_v2.txt \
               --query-list product1m_test_ossurl_v2.txt --query-list product1m_dev_ossurl_v2.txt --output eval
  capture_eval compare runs/demo runs/seed7 --output comparison)";

constexpr const char* kCompareFooter = R"(
Example:
  capture_eval compare runs/demo runs/seed7 --output comparison)";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures retrieval: published and standard figures of a model or of ranking files.", "capture_eval");
  app.footer(kFooter);
  capture::EvalArguments arguments;
  arguments.command.assign(argv, argv + argc);
  capture::add_options(app, arguments);
  CLI::App* const compare = app.add_subcommand("compare", "Is a run better than another? Holds results side by side.");
  compare->footer(kCompareFooter);
  capture::CompareArguments comparison;
  comparison.command = arguments.command;
  capture::add_compare_options(*compare, comparison);
  return capture::run_program(app, argc, argv, [&] {
    if (compare->parsed()) {
      capture::compare_runs(comparison);
      return;
    }
    capture::settle(arguments);
    if (arguments.uses_model()) {
      capture::evaluate_model(arguments);
    } else {
      capture::evaluate_rankings(arguments);
    }
  });
}
