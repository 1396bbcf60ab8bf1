#include "capture_search/arguments.h"

#include "capture/base/error.h"
#include "capture/base/text_lines.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr const char* kRunFile = "config.resolved.json";

/// The demo keeps its run and its gallery in one folder, and a run's own folder often stands beside the gallery.
void find_run_and_gallery(SearchArguments& arguments) {
  fs::path& run = arguments.model.run;
  std::error_code ignored;
  const fs::path named = run;
  if (!run.empty() && !fs::exists(run / kRunFile, ignored) && fs::exists(run / "run" / kRunFile, ignored)) run /= "run";
  if (!arguments.gallery.empty() || named.empty()) return;
  for (const fs::path& gallery : {named / "gallery", fs::absolute(run).lexically_normal().parent_path() / "gallery"}) {
    if (!fs::is_directory(gallery, ignored)) continue;
    arguments.gallery.push_back(gallery);
    return;
  }
}

void check_question(const SearchArguments& arguments) {
  if (arguments.single() && !arguments.questions.empty()) {
    throw CLI::ExcludesError(arguments.photo ? "--photo" : "--title", "--questions");
  }
  if (arguments.title && !is_utf8(*arguments.title)) {
    throw UserError({.what = "is not UTF-8", .where = "--title", .hint = "use a UTF-8 locale in the shell"});
  }
  if (arguments.title && strip(*arguments.title).empty()) {
    throw UserError({.what = "the title is empty", .where = "--title", .hint = "give words, or leave it out"});
  }
  if (arguments.photo && arguments.photo->empty()) {
    throw UserError({.what = "names no file", .where = "--photo", .hint = "give a photo, or leave it out"});
  }
}

}  // namespace

void add_options(CLI::App& app, SearchArguments& arguments) {
  const char* const question = "Question (without one, standard input: a title or a JSON object a line)";
  app.add_option("--photo", arguments.photo, "Photo to look for: JPEG, PNG, WebP, BMP or TIFF")
      ->type_name("FILE")
      ->group(question);
  app.add_option("--title", arguments.title, "Title to look for, alone or with a photo")
      ->type_name("TEXT")
      ->group(question);
  app.add_option("--questions", arguments.questions,
                 "File of questions, as on standard input; photos lie relative to it. Lists of photos (JSON lines) do")
      ->type_name("FILE")
      ->group(question);
  app.add_option(
         "--recipe", arguments.recipe,
         "What is compared with what, as in capture_eval; by default what the question has (pre.image, pre.text "
         "or pre.sum) with the sum of photo and title in the gallery")
      ->group(question);
  const char* const answer = "Answer";
  app.add_option("--top", arguments.top, "Items found a question")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->group(answer);
  app.add_flag("--json", arguments.json, "Print one JSON object a question")->group(answer);
  app.add_option("--report", arguments.report, "Write a page with photos")->type_name("FILE")->group(answer);
  app.add_flag("--open-report", arguments.open_report, "Open that page in a browser; by default <run>/search.html")
      ->group(answer);
  app.add_flag("--timing", arguments.timing, "Say what took how long")->group(answer);
  add_model_options(app, arguments.model, "Model and gallery");
  app.add_option("--gallery", arguments.gallery,
                 "Shards to search; by default the folder gallery in the run's or beside it")
      ->group("Model and gallery");
  const char* const vision = "How photos are seen (by default as the gallery says)";
  app.add_option("--scaling", arguments.scaling, "scaling.safetensors of the gallery's import")
      ->type_name("FILE")
      ->group(vision);
  app.add_option("--backbone", arguments.backbone, "TorchScript file of the gallery's import")
      ->type_name("FILE")
      ->group(vision);
  app.add_option("--vision", arguments.vision, "Vision options (JSON), for a gallery that names none")
      ->type_name("FILE")
      ->group(vision);
}

void settle(SearchArguments& arguments) {
  check_question(arguments);
  if (arguments.model.run.empty() == arguments.model.model.empty()) {
    throw CLI::RequiredError("either --run or --model");
  }
  check(arguments.model);
  find_run_and_gallery(arguments);
  if (arguments.gallery.empty()) throw CLI::RequiredError("--gallery");
  if (arguments.open_report && arguments.report.empty()) arguments.report = arguments.model.run / "search.html";
}

}  // namespace capture
