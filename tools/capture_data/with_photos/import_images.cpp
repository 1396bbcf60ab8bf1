// The command line of capture_data import-images.
#include "import_images.h"

#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <thread>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "photo_import.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

/// The command line.
struct Arguments {
  PhotoImportOptions options;
  fs::path config;
  std::vector<std::string> shorthands;  // "key=value" of the flags that stand for an option
  std::vector<std::string> settings;
  std::string feature_type = "float16";
  bool help_config = false;
};

std::atomic<bool> interrupted = false;

/// The first Ctrl-C or SIGTERM ends the import behind a whole shard, a second one at once.
void end_tidily() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = SA_RESETHAND;
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

/// `--flag VALUE` as shorthand for `--set key=VALUE`.
void add_shorthand(CLI::App& app, const std::shared_ptr<Arguments>& arguments, const std::string& flag,
                   const std::string& key, const std::string& help) {
  app.add_option_function<std::string>(
      flag, [=](const std::string& value) { arguments->shorthands.push_back(key + "=" + value); },
      help + " (" + key + ")");
}

void add_options(CLI::App& app, const std::shared_ptr<Arguments>& arguments) {
  Arguments& a = *arguments;
  PhotoImportOptions& options = a.options;
  options.workers = std::max(1U, std::thread::hardware_concurrency());
  app.add_option("--list", options.list, "CSV (image,title[,labels][,id]) or one JSON object a line")
      ->type_name("FILE");
  app.add_option("--output", options.output, "Folder of shards to make; an interrupted import goes on in it")
      ->type_name("DIR");
  app.add_option("--config", a.config, "Vision options (JSON)")->type_name("FILE");
  app.add_option("--set", a.settings, "One vision option, e.g. features.width=256")->type_name("KEY=VALUE");
  app.add_flag("--help-config", a.help_config, "Print every vision option and leave");
  add_shorthand(app, arguments, "--proposals", "proposals.kind", "grid or selective_search");
  add_shorthand(app, arguments, "--max-regions", "proposals.max_regions", "Most regions a photo");
  add_shorthand(app, arguments, "--feature-width", "features.width", "Numbers a region; 0: as they come");
  add_shorthand(app, arguments, "--scaling", "features.scaling",
                "Standardise as another import fitted it; copied beside the shards");
  add_shorthand(app, arguments, "--views", "views.count", "Further views of each photo");
  app.add_option_function<std::string>(
         "--backbone",
         [arguments](const std::string& file) {
           arguments->shorthands.push_back("features.kind=torchscript");
           arguments->shorthands.push_back("features.torchscript.file=" + to_line(Json(file)));
         },
         "TorchScript file: features of your own network")
      ->type_name("FILE");
  app.add_flag(
      "--fit-scaling", options.fit_scaling,
      "Standardise by these photos, whitening to --feature-width if that is less; writes DIR/scaling.safetensors");
  app.add_option("--fit-photos", options.fit_photos, "Most photos that --fit-scaling looks at")
      ->check(CLI::PositiveNumber);
  app.add_option("--feature-type", a.feature_type, "Stored precision")->check(CLI::IsMember({"float16", "float32"}));
  app.add_option("--label-separator", options.label_separator, "Between the labels of a CSV row");
  app.add_option("--shard-samples", options.shard_samples, "Samples a shard")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--workers", options.workers, "Threads")->check(CLI::Range(1, 256));
  app.add_option("--max-rejects", options.max_rejects, "Stop after more rejected rows than this; -1: never");
  app.add_option("--rejects", options.rejects, "Rejected rows as JSON lines (default DIR.rejects.jsonl)")
      ->type_name("FILE");
  app.add_flag("--force", options.force, "Replace what is in the output folder");
}

void run(Arguments& arguments) {
  if (arguments.help_config) {
    fmt::print("{}", to_help(VisionOptions()));
    return;
  }
  PhotoImportOptions& options = arguments.options;
  for (const auto& [path, flag] : {std::pair(options.list, "--list"), std::pair(options.output, "--output")}) {
    if (path.empty()) throw CLI::RequiredError(flag);
  }
  std::vector<std::string> settings = arguments.shorthands;
  settings.insert(settings.end(), arguments.settings.begin(), arguments.settings.end());
  read_options(read_config(arguments.config, settings), options.vision);
  if (options.fit_scaling && !options.vision.features.scaling.empty()) {
    throw UserError({.what = "contradicts a given scaling", .where = "--fit-scaling", .allowed = "one of the two"});
  }
  options.feature_type = arguments.feature_type == "float32" ? FeatureType::float32 : FeatureType::float16;
  if (options.rejects.empty()) {
    options.rejects = options.output.has_filename() ? options.output : options.output.parent_path();
    options.rejects += ".rejects.jsonl";
  }
  end_tidily();
  fmt::print("{}\n", import_photos(options, interrupted));
}

}  // namespace

void add_import_images(CLI::App& app) {
  CLI::App* command = app.add_subcommand("import-images", kImportImages);
  const auto arguments = std::make_shared<Arguments>();
  add_options(*command, arguments);
  command->footer(
      "Example: capture_data import-images --list photos.csv --output data/train --fit-scaling\n"
      "         capture_data import-images --list shop.csv --output data/gallery --scaling "
      "data/train/scaling.safetensors");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace capture
