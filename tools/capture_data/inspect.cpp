// capture_data inspect: what a dataset is, and one of its samples, as a person or a script reads them.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/json.h"
#include "capture/base/terminal.h"
#include "capture/data/dataset.h"
#include "commands.h"

namespace capture {

namespace {

struct InspectOptions {
  std::vector<std::filesystem::path> paths;
  std::optional<int64_t> sample;
  std::string id;
  std::filesystem::path draw;
  std::filesystem::path image;
  bool json = false;
};

Json describe(const Dataset& dataset) {
  Json json = Json::object();
  json["samples"] = dataset.size();
  json["feature_width"] = dataset.feature_width();
  json["tokenizer_fingerprint"] = dataset.tokenizer_fingerprint();
  json["class_count"] = dataset.class_count();
  json["max_regions"] = dataset.max_regions();
  json["max_views"] = dataset.max_views();
  json["fingerprint"] = dataset.fingerprint();
  json["shards"] = Json::array();
  for (const Shard& shard : dataset.shards()) {
    json["shards"].push_back({{"path", shard.path().string()},
                              {"bytes", std::filesystem::file_size(shard.path())},
                              {"samples", shard.size()},
                              {"feature_type", name_of(shard.header().layout.feature_type)},
                              {"origin", shard.origin()}});
  }
  return json;
}

Json describe(const RegionsView& view) {
  Json json = Json::object();
  json["image"] = {view.image_width, view.image_height};
  json["regions"] = Json::array();
  std::vector<float> feature(static_cast<size_t>(view.feature_width));
  for (int64_t r = 0; r < view.count; ++r) {
    view.copy_feature(r, feature.data());
    double sum = 0;
    double squares = 0;
    for (const float value : feature) {
      sum += value;
      squares += double{value} * value;
    }
    const auto box = view.boxes.subspan(static_cast<size_t>(r) * 4, 4);
    json["regions"].push_back({{"box", {box[0], box[1], box[2], box[3]}},
                               {"feature_mean", sum / static_cast<double>(feature.size())},
                               {"feature_norm", std::sqrt(squares)}});
  }
  return json;
}

Json describe(const SampleView& sample, int64_t index) {
  Json json = Json::object();
  json["index"] = index;
  json["id"] = sample.id();
  json["titles"] = sample.titles();
  json["labels"] = sample.labels();
  json["thumbnail_bytes"] = sample.thumbnail().size();
  json["token_ids"] = Json::array();
  for (int64_t title = 0; title < sample.title_count() && sample.token_ids(title); ++title) {
    std::vector<int32_t> ids;
    sample.token_ids(title)->append_to(ids);
    json["token_ids"].push_back(ids);
  }
  json["views"] = Json::array();
  for (int64_t v = 0; v < sample.view_count(); ++v) json["views"].push_back(describe(sample.regions(v)));
  return json;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : to_line(value);
}

void print_line(const char* name, const std::string& value) {
  std::printf("  %-14s %s\n", name, one_line(value).c_str());
}

std::string size_of(const Json& bytes) {
  const auto size = bytes.get<double>();
  char text[32];
  std::snprintf(text, sizeof text, size < 1e6 ? "%.1f kB" : "%.1f MB", size / (size < 1e6 ? 1e3 : 1e6));
  return text;
}

void print_dataset(const Json& dataset) {
  std::printf("%s samples\n", text_of(dataset["samples"]).c_str());
  print_line("regions", "up to " + text_of(dataset["max_regions"]) + " a view, " + text_of(dataset["feature_width"]) +
                            " numbers each");
  print_line("views", "up to " + text_of(dataset["max_views"]) + " a sample");
  print_line("classes", dataset["class_count"] == 0 ? "none" : text_of(dataset["class_count"]) + " a region");
  print_line("token ids", dataset["tokenizer_fingerprint"] == ""
                              ? "none"
                              : "of the tokenizer " + text_of(dataset["tokenizer_fingerprint"]));
  print_line("fingerprint", text_of(dataset["fingerprint"]));
  for (const Json& shard : dataset["shards"]) {
    std::printf("\n%s\n", text_of(shard["path"]).c_str());
    print_line("samples",
               text_of(shard["samples"]) + ", " + size_of(shard["bytes"]) + ", " + text_of(shard["feature_type"]));
    for (const auto& [key, value] : shard["origin"].items()) print_line(key.c_str(), text_of(value));
  }
}

void print_view(const Json& view) {
  std::printf("  %4s %9s %9s %9s %9s %12s %12s\n", "", "x1", "y1", "x2", "y2", "mean", "norm");
  int64_t number = 0;
  for (const Json& region : view["regions"]) {
    const auto box = region["box"].get<std::vector<double>>();
    std::printf("  %4lld %9.1f %9.1f %9.1f %9.1f %12.5f %12.5f\n", static_cast<long long>(number++), box[0], box[1],
                box[2], box[3], region["feature_mean"].get<double>(), region["feature_norm"].get<double>());
  }
}

void print_sample(const Json& sample) {
  std::printf("\nsample %s\n", text_of(sample["index"]).c_str());
  print_line("id", text_of(sample["id"]));
  for (const Json& title : sample["titles"]) print_line("title", text_of(title));
  for (const Json& ids : sample["token_ids"]) print_line("token ids", text_of(ids));
  for (const Json& label : sample["labels"]) print_line("label", text_of(label));
  print_line("thumbnail", sample["thumbnail_bytes"] == 0 ? "none" : text_of(sample["thumbnail_bytes"]) + " bytes");
  int64_t number = 0;
  for (const Json& view : sample["views"]) {
    print_line("view", std::to_string(number++) + ": " + text_of(view["image"][0]) + " by " +
                           text_of(view["image"][1]) + " pixels, " + std::to_string(view["regions"].size()) +
                           " regions");
    print_view(view);
  }
}

int64_t find_sample(const Dataset& dataset, const InspectOptions& options) {
  if (options.id.empty()) {
    const int64_t index = options.sample.value_or(0);
    if (index >= 0 && index < dataset.size()) return index;
    throw UserError({.what = "there is no sample " + std::to_string(index),
                     .where = "--sample",
                     .allowed = "0 to " + std::to_string(dataset.size() - 1)});
  }
  for (int64_t i = 0; i < dataset.size(); ++i) {
    if (dataset.sample(i).id() == options.id) return i;
  }
  throw UserError({.what = "no sample has the id \"" + options.id + "\"", .where = "--id"});
}

void inspect(const InspectOptions& options, const DrawRegions& draw) {
  const Dataset dataset(options.paths);
  const int64_t index = find_sample(dataset, options);
  Json summary = describe(dataset);
  const Json sample = describe(dataset.sample(index), index);
  if (!options.draw.empty()) draw(dataset.sample(index), options.image, options.draw);
  if (options.json) {
    summary["sample"] = sample;
    std::fputs((to_line(summary) + "\n").c_str(), stdout);
    return;
  }
  print_dataset(summary);
  print_sample(sample);
}

}  // namespace

void add_inspect(CLI::App& app, const DrawRegions& draw_regions) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand("inspect", "Shows what a dataset is, and one of its samples.");
  command->add_option("dataset", options->paths, "Shards (*.capshard) or folders of them")->required();
  auto* sample = command->add_option("--sample", options->sample, "Which sample to show, counted from 0 [0]");
  command->add_option("--id", options->id, "Show the sample with this id")->excludes(sample);
  auto* draw = command->add_option("--draw", options->draw, "Also write its photo, with its regions on it, as JPEG");
  draw->type_name("FILE");
  command->add_option("--image", options->image, "The photo to draw on; the stored thumbnail if left out")
      ->type_name("FILE")
      ->needs(draw);
  command->add_flag("--json", options->json, "One line of JSON instead");
  command->footer("Example: capture_data inspect data/train.capshard --sample 3 --draw regions.jpg");
  command->callback([options, draw_regions] { inspect(*options, draw_regions); });
}

}  // namespace capture
