// capture_weights: model files in and out of the published format, and a look at what a file holds.
#include <ATen/ATen.h>

#include <cinttypes>
#include <cstdio>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/base/terminal.h"
#include "capture/model/official.h"
#include "capture/model/weights.h"
#include "common/program.h"

namespace {

using namespace capture;

struct ImportArguments {
  std::string input, output, from = "official", config, official_config;
  std::vector<std::string> settings;
  int64_t seed = 42;
};

/// The "model" section of a training configuration, all other sections left aside.
struct ModelSection {
  HybridStreamModelOptions model;
  void visit(FieldVisitor& f) { f.section("model", model, "The model."); }
};

HybridStreamModelOptions options_of(const ImportArguments& arguments, const SafetensorsFile& file) {
  ModelSection section;
  if (!arguments.official_config.empty()) {
    section.model = options_from_official(read_json(arguments.official_config));
  }
  const bool official = arguments.from == "official";
  if (official && arguments.config.empty()) section.model = with_layers_of(file, section.model);
  if (!arguments.config.empty()) {
    JsonDocument document = read_config(arguments.config, arguments.settings);
    Json only = Json::object();
    if (document.root.contains("model")) only["model"] = document.root["model"];
    document.root = only;
    read_options(document, section);
  }
  return section.model;
}

void import(const ImportArguments& arguments) {
  const SafetensorsFile file(arguments.input);
  const HybridStreamModelOptions options = options_of(arguments, file);
  const bool bert = arguments.from == "bert";
  HybridStreamModel model(options, bert ? std::optional<uint64_t>(arguments.seed) : std::nullopt);
  std::map<std::string, std::string> metadata = {{"source", arguments.from}};
  if (bert) {
    const auto names = initialise_from_bert(file, *model);
    metadata["from_bert"] = to_line(Json(names));
    log::info("{} parameters start from BERT, the others from seed {}", names.size(), arguments.seed);
  } else {
    import_official(file, *model);
  }
  save_model(arguments.output, *model, metadata);
  log::info("wrote {} ({} parameters)", arguments.output, parameter_count(options));
}

void print_table(const SafetensorsFile& file) {
  size_t widest = 4;
  for (const auto& entry : file.entries()) widest = std::max(widest, entry.name.size());
  std::printf("%-*s  %-5s  %14s  %s\n", static_cast<int>(widest), "name", "dtype", "numbers", "shape");
  int64_t numbers = 0;
  uint64_t bytes = 0;
  for (const auto& entry : file.entries()) {
    int64_t count = 1;
    for (const int64_t size : entry.shape) count *= size;
    std::printf("%-*s  %-5s  %14" PRId64 "  %s\n", static_cast<int>(widest), one_line(entry.name).c_str(),
                safetensors_dtype(entry.dtype).c_str(), count, to_line(Json(entry.shape)).c_str());
    numbers += count;
    bytes += entry.bytes;
  }
  std::printf("\n%zu tensors, %" PRId64 " numbers, %" PRIu64 " bytes\n", file.entries().size(), numbers, bytes);
}

void inspect(const std::string& path) {
  const SafetensorsFile file(path);
  print_table(file);
  for (const auto& [key, value] : file.metadata()) {
    std::printf("metadata %s: %s\n", one_line(key).c_str(), one_line(value).c_str());
  }
  if (!file.metadata().contains("capture.model")) return;
  const HybridStreamModelOptions options = model_options(file);
  const int64_t own = parameter_count(options);
  const int64_t official = official_parameter_count(options);
  std::printf("model of %" PRId64 " parameters; the published format counts %" PRId64 ", of which %" PRId64
              " are never used\n",
              own, official, official - own);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Moves model files in and out of the published format, and shows what a file holds.", "capture_weights");
  const std::string import_example =
      "Example: capture_weights import pytorch_model.safetensors model.safetensors --official-config capture.json\n"
      "A .bin file becomes .safetensors with: tools/convert_checkpoint.py pytorch_model.bin pytorch_model.safetensors";
  app.footer(import_example);
  app.require_subcommand(1);

  ImportArguments arguments;
  CLI::App* importing =
      app.add_subcommand("import", "From a published checkpoint, or from BERT's weights, to a model.");
  importing->add_option("input", arguments.input, "A .safetensors file.")->required();
  importing->add_option("output", arguments.output, "The model file to write.")->required();
  importing->add_option("--from", arguments.from, "official: the whole model. bert: starts the text side alone.")
      ->check(CLI::IsMember({"official", "bert"}))
      ->capture_default_str();
  importing->add_option("--official-config", arguments.official_config,
                        "The published code's JSON with the sizes; without it, the paper's.");
  CLI::Option* config =
      importing->add_option("--config", arguments.config, "A configuration of ours whose model section has the sizes.");
  importing
      ->add_option("--set", arguments.settings, "A key of --config to override, as in model.vocabulary_size=21128.")
      ->needs(config);
  importing->footer(import_example);
  importing->add_option("--seed", arguments.seed, "Draws what BERT does not give.")->capture_default_str();

  std::string input, output;
  CLI::App* exporting = app.add_subcommand("export", "From a model to a checkpoint that the published code reads.");
  exporting->add_option("input", input, "A model file.")->required();
  exporting->footer(
      "Example: capture_weights export runs/mine/checkpoints/best/model.safetensors published.safetensors");
  exporting->add_option("output", output, "The .safetensors file to write.")->required();

  CLI::App* inspecting = app.add_subcommand("inspect", "Names, shapes, types and totals of any .safetensors file.");
  inspecting->add_option("input", input, "A .safetensors file.")->required();
  inspecting->footer("Example: capture_weights inspect runs/mine/checkpoints/best/model.safetensors");

  return run_program(app, argc, argv, [&] {
    if (*importing) import(arguments);
    if (*exporting) write_safetensors(output, export_official(*load_model(input)), {{"format", "pt"}});
    if (*inspecting) inspect(input);
  });
}
