// capture_search: ask a gallery with a photo, a title or both.
#include "capture_search/arguments.h"
#include "capture_search/session.h"
#include "common/program.h"

namespace {

constexpr const char* kFooter = R"(
Examples:
  capture_search --run runs/demo --photo apple.jpg
  capture_search --run runs/demo --title 'Golden Delicious' --top 5
  capture_search --run runs/demo/run --gallery runs/demo/gallery --photo apple.jpg --title Apple --open-report
  capture_search --run runs/demo --questions data/grocery/queries.jsonl --json > answers.jsonl
  echo '{"photo": "apple.jpg", "title": "Apple"}' | capture_search --run runs/demo --json)";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Asks a gallery for the products of a photo, a title or both.", "capture_search");
  app.footer(kFooter);
  capture::SearchArguments arguments;
  capture::add_options(app, arguments);
  return capture::run_program(app, argc, argv, [&] {
    capture::settle(arguments);
    capture::search(arguments);
  });
}
