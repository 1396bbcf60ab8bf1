// capture_data import-images: photos and titles become shards. Photos are worked on in parallel and written in the
// list's order, so that the bytes do not depend on the number of workers.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/base/progress.h"
#include "capture/data/shard_writer.h"
#include "capture/tensor/random.h"
#include "capture/vision/feature_scaling.h"
#include "capture/vision/photo_list.h"
#include "capture/vision/region_extractor.h"
#include "commands.h"
#include "import_folder.h"
#include "in_order.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr const char* kScalingFile = "scaling.safetensors";

struct Arguments {
  fs::path list;
  fs::path output;
  fs::path rejects;
  fs::path config;
  std::vector<std::string> shorthands;  // "key=value" of the flags that stand for an option
  std::vector<std::string> settings;
  std::string feature_type = "float16";
  std::string label_separator = "|";
  int64_t workers = std::max(1U, std::thread::hardware_concurrency());
  int64_t max_rejects = -1;
  int64_t shard_samples = 100000;
  int64_t fit_photos = 4000;
  bool fit_scaling = false;
  bool force = false;
  bool help_config = false;
};

std::atomic<bool> interrupted = false;

/// The first Ctrl-C or SIGTERM ends the import tidily, a second one at once.
void end_tidily() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = SA_RESETHAND;
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

/// A sample, or why there is none.
struct Outcome {
  std::optional<Sample> sample;
  std::string problem;
};

struct Reject {
  int64_t line;
  std::string image;
  std::string reason;
};

Regions to_regions(ImageRegions&& image) {
  Regions regions{.image_width = image.width,
                  .image_height = image.height,
                  .boxes = {},
                  .features = std::move(image.features),
                  .classes = {}};
  for (const Box& box : image.boxes) regions.boxes.insert(regions.boxes.end(), {box.x1, box.y1, box.x2, box.y2});
  return regions;
}

Sample to_sample(const PhotoEntry& entry, ExtractedImage&& extracted) {
  Sample sample{.id = entry.id, .titles = entry.titles, .labels = entry.labels, .views = {}, .thumbnail = {}};
  for (ImageRegions& view : extracted.views) sample.views.push_back(to_regions(std::move(view)));
  sample.thumbnail.assign(reinterpret_cast<const char*>(extracted.thumbnail.data()), extracted.thumbnail.size());
  return sample;
}

/// The whole import. Each step below is one member, called in order by run().
class Import {
 public:
  explicit Import(const Arguments& arguments)
      : arguments_(arguments),
        options_(read_vision_options(arguments)),
        entries_(read_photo_list(arguments.list, arguments.label_separator)),
        folder_(arguments.output, arguments.force) {}

  void run() {
    const auto start = std::chrono::steady_clock::now();
    if (arguments_.fit_scaling) fit_scaling();
    extractor_ = std::make_unique<RegionExtractor>(options_);
    import_photos();
    import_composites();
    close_shard();
    write_rejects();
    if (shards_ == 0) {
      throw UserError({.what = "none of the " + std::to_string(entries_.size()) + " photos could be imported; the " +
                               "first: " + rejects_.front().reason,
                       .where = arguments_.list.string(),
                       .hint = "see " + arguments_.rejects.string()});
    }
    folder_.commit();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    summarise(seconds.count());
  }

 private:
  static VisionOptions read_vision_options(const Arguments& arguments) {
    VisionOptions options;
    std::vector<std::string> settings = arguments.shorthands;
    settings.insert(settings.end(), arguments.settings.begin(), arguments.settings.end());
    read_options(read_config(arguments.config, settings), options);
    if (arguments.fit_scaling && !options.features.scaling.empty()) {
      throw UserError({.what = "contradicts a given scaling", .where = "--fit-scaling", .allowed = "one of the two"});
    }
    return options;
  }

  Image read(const PhotoEntry& entry) const { return extractor_->read(arguments_.list.parent_path() / entry.image); }

  /// What goes wrong with one photo stays with it.
  template <class Work>
  static Outcome attempt(const Work& work) {
    try {
      return {.sample = work(), .problem = {}};
    } catch (const UserError& error) {
      return {.sample = {}, .problem = error.what()};
    } catch (const std::exception& error) {
      return {.sample = {}, .problem = std::string("the decoder or the extractor failed: ") + error.what()};
    }
  }

  void stop_if_interrupted() const {
    if (interrupted) throw UserError({.what = "interrupted; nothing was written", .where = arguments_.output.string()});
  }

  /// Standardisation, or whitening to the width that is wanted, from the list's own photos: at most fit_photos of them,
  /// evenly spread.
  void fit_scaling() {
    VisionOptions plain = options_;
    plain.features.width = 0;
    plain.views.count = 0;
    plain.thumbnail.longest_side = 0;
    extractor_ = std::make_unique<RegionExtractor>(plain);
    std::vector<const PhotoEntry*> usable;
    for (const auto& entry : entries_) {
      if (entry.problem.empty()) usable.push_back(&entry);
    }
    const size_t photos = std::min(usable.size(), static_cast<size_t>(arguments_.fit_photos));
    const int64_t measured = extractor_->feature_width();
    const int64_t wanted = options_.features.width;
    ScalingFit fit(measured, wanted < measured ? wanted : 0);
    ProgressBar progress("fit scaling", static_cast<int64_t>(photos), "photos");
    in_order(
        photos, static_cast<size_t>(arguments_.workers),
        [&](size_t i) {
          const PhotoEntry& entry = *usable[i * usable.size() / photos];
          return attempt([&] { return to_sample(entry, extractor_->extract(read(entry), entry.id)); });
        },
        [&](size_t i, Outcome outcome) {
          stop_if_interrupted();
          if (outcome.sample) fit.add(outcome.sample->views[0].features);
          progress.update(static_cast<int64_t>(i) + 1);
        });
    if (fit.count() == 0) return;  // every photo will be rejected, with its reason
    options_.features.scaling = folder_.aside() / kScalingFile;
    write_scaling(options_.features.scaling, fit.finish(features_fingerprint(options_.features)));
  }

  void import_photos() {
    ProgressBar progress("import", std::ssize(entries_), "photos");
    in_order(
        entries_.size(), static_cast<size_t>(arguments_.workers),
        [&](size_t i) -> Outcome {
          const PhotoEntry& entry = entries_[i];
          if (!entry.problem.empty()) return {.sample = {}, .problem = entry.problem};
          return attempt([&] { return to_sample(entry, extractor_->extract(read(entry), entry.id)); });
        },
        [&](size_t i, Outcome outcome) {
          stop_if_interrupted();
          const PhotoEntry& entry = entries_[i];
          if (add(outcome)) imported_.push_back(&entry);
          if (!outcome.problem.empty()) reject({entry.line, entry.image, outcome.problem});
          progress.update(static_cast<int64_t>(i) + 1,
                          rejects_.empty() ? "" : std::to_string(rejects_.size()) + " rejected");
        });
  }

  void import_composites() {
    const int64_t count = options_.composites.count;
    if (count == 0 || imported_.empty()) return;
    if (imported_.size() < 3) {
      throw UserError({.what = "needs three photos or more, the list has " + std::to_string(imported_.size()),
                       .where = "composites.count"});
    }
    ProgressBar progress("compose", count, "canvases");
    in_order(
        static_cast<size_t>(count), static_cast<size_t>(arguments_.workers),
        [&](size_t i) { return attempt([&] { return composite(i); }); },
        [&](size_t i, Outcome outcome) {
          stop_if_interrupted();
          add(outcome);
          if (!outcome.problem.empty()) reject({0, "composite " + std::to_string(i), outcome.problem});
          progress.update(static_cast<int64_t>(i) + 1);
        });
  }

  Sample composite(size_t index) const {
    RandomStream random(static_cast<uint64_t>(options_.composites.seed), 0, index);
    const size_t wanted = 2 + random.below(2);
    std::vector<const PhotoEntry*> chosen;
    while (chosen.size() < wanted) {
      const PhotoEntry* entry = imported_[random.below(static_cast<uint32_t>(imported_.size()))];
      if (std::ranges::find(chosen, entry) == chosen.end()) chosen.push_back(entry);
    }
    PhotoEntry merged;
    merged.id = fmt::format("composite-{}:", index);
    merged.titles = {""};
    std::vector<Image> photos;
    for (const PhotoEntry* entry : chosen) {
      const bool first = photos.empty();
      merged.id += (first ? "" : "+") + entry->id;
      merged.titles[0] += (first ? "" : " and ") + entry->titles[0];
      merged.labels.insert(merged.labels.end(), entry->labels.begin(), entry->labels.end());
      photos.push_back(read(*entry));
    }
    const Image canvas = compose(photos, options_.composites.side, random);
    return to_sample(merged, extractor_->extract(canvas, merged.id));
  }

  /// Writes the outcome's sample, if there is one. False, with the problem set, when the shard refuses it.
  bool add(Outcome& outcome) {
    if (!outcome.sample) return false;
    if (shard_ && shard_->size() >= arguments_.shard_samples) close_shard();
    if (!shard_) open_shard();
    try {
      shard_->add(*outcome.sample);
    } catch (const UserError& error) {
      // A sample that is refused names itself; anything else (a full disk) is not the photo's fault.
      if (!error.parts().where.starts_with("sample ")) throw;
      outcome.problem = error.what();
      return false;
    }
    regions_ += outcome.sample->views[0].count();
    return true;
  }

  void reject(Reject reject) {
    rejects_.push_back(std::move(reject));
    if (arguments_.max_rejects < 0 || std::ssize(rejects_) <= arguments_.max_rejects) return;
    write_rejects();
    throw UserError({.what = fmt::format("{} rows were rejected; the last, line {}: {}", rejects_.size(),
                                         rejects_.back().line, rejects_.back().reason),
                     .where = arguments_.list.string(),
                     .allowed = fmt::format("at most {} (--max-rejects)", arguments_.max_rejects),
                     .hint = "see " + arguments_.rejects.string()});
  }

  void open_shard() {
    const ShardLayout layout{
        .feature_width = extractor_->feature_width(),
        .max_regions = extractor_->max_regions(),
        .max_views = 1 + options_.views.count,
        .class_count = 0,
        .feature_type = arguments_.feature_type == "float32" ? FeatureType::float32 : FeatureType::float16};
    // Names without folders: the same photos give the same bytes wherever they lie.
    VisionOptions named = options_;
    named.features.scaling = fs::path(named.features.scaling).filename();
    named.features.torchscript.file = fs::path(named.features.torchscript.file).filename();
    Json origin = Json::object();
    origin["tool"] = "capture_data import-images " CAPTURE_VERSION;
    origin["list"] = arguments_.list.filename().string();
    origin["extractor"] = extractor_->fingerprint();
    origin["vision"] = to_json(named);
    shard_.emplace(folder_.aside() / fmt::format("{:05}{}", shards_++, kShardSuffix), layout, std::move(origin));
  }

  void close_shard() {
    if (!shard_) return;
    samples_ += shard_->size();
    shard_->finish();
    shard_.reset();
  }

  void write_rejects() const {
    if (rejects_.empty()) {
      std::error_code ignored;
      fs::remove(arguments_.rejects, ignored);
      return;
    }
    AtomicFile file(arguments_.rejects);
    for (const auto& [line, image, reason] : rejects_) {
      file.write(to_line({{"line", line}, {"image", image}, {"reason", reason}}) + "\n");
    }
    file.commit();
  }

  void summarise(double seconds) const {
    uint64_t bytes = 0;
    for (const auto& file : fs::directory_iterator(arguments_.output)) bytes += file.file_size();
    const auto accepted = std::ssize(imported_);
    fmt::print("{}: {} photos", arguments_.output.string(), accepted);
    if (samples_ > accepted) fmt::print(" and {} composites of them", samples_ - accepted);
    fmt::print(", {:.1f} regions each of width {}", static_cast<double>(regions_) / static_cast<double>(samples_),
               extractor_->feature_width());
    if (options_.views.count > 0) fmt::print(", {} views", 1 + options_.views.count);
    fmt::print(", {:.1f} MB, in {:.1f} s\n", static_cast<double>(bytes) * 1e-6, seconds);
    if (!rejects_.empty()) {
      fmt::print("{} rows were rejected, see {}\n", rejects_.size(), arguments_.rejects.string());
    }
  }

  const Arguments& arguments_;
  VisionOptions options_;
  std::vector<PhotoEntry> entries_;
  ImportFolder folder_;
  std::unique_ptr<RegionExtractor> extractor_;
  std::optional<ShardWriter> shard_;
  std::vector<const PhotoEntry*> imported_;
  std::vector<Reject> rejects_;
  int64_t shards_ = 0;
  int64_t samples_ = 0;
  int64_t regions_ = 0;
};

/// `--flag VALUE` as shorthand for `--set key=VALUE`.
void add_shorthand(CLI::App& app, const std::shared_ptr<Arguments>& arguments, const std::string& flag,
                   const std::string& key, const std::string& help) {
  app.add_option_function<std::string>(
      flag, [=](const std::string& value) { arguments->shorthands.push_back(key + "=" + value); },
      help + " (" + key + ")");
}

void add_options(CLI::App& app, const std::shared_ptr<Arguments>& arguments) {
  Arguments& a = *arguments;
  app.add_option("--list", a.list, "CSV (image,title[,labels][,id]) or one JSON object a line")->type_name("FILE");
  app.add_option("--output", a.output, "Folder to make")->type_name("DIR");
  app.add_option("--config", a.config, "Vision options (JSON)")->type_name("FILE");
  app.add_option("--set", a.settings, "One vision option, e.g. features.width=256")->type_name("KEY=VALUE");
  app.add_flag("--help-config", a.help_config, "Print every vision option and leave");
  add_shorthand(app, arguments, "--proposals", "proposals.kind", "grid or selective_search");
  add_shorthand(app, arguments, "--max-regions", "proposals.max_regions", "Most regions a photo");
  add_shorthand(app, arguments, "--feature-width", "features.width", "Numbers a region; 0: as they come");
  add_shorthand(app, arguments, "--scaling", "features.scaling", "Standardise as another import fitted it");
  add_shorthand(app, arguments, "--views", "views.count", "Further views of each photo");
  add_shorthand(app, arguments, "--composites", "composites.count", "Canvases of several photos");
  app.add_option_function<std::string>(
         "--backbone",
         [arguments](const std::string& file) {
           arguments->shorthands.push_back("features.kind=torchscript");
           arguments->shorthands.push_back("features.torchscript.file=" + to_line(Json(file)));
         },
         "TorchScript file: features of your own network")
      ->type_name("FILE");
  app.add_flag(
      "--fit-scaling", a.fit_scaling,
      "Standardise by these photos, whitening to --feature-width if that is less; writes DIR/scaling.safetensors");
  app.add_option("--fit-photos", a.fit_photos, "Most photos that --fit-scaling looks at")->check(CLI::PositiveNumber);
  app.add_option("--feature-type", a.feature_type, "Stored precision")->check(CLI::IsMember({"float16", "float32"}));
  app.add_option("--label-separator", a.label_separator, "Between the labels of a CSV row");
  app.add_option("--shard-samples", a.shard_samples, "Samples a shard")->check(CLI::PositiveNumber);
  app.add_option("--workers", a.workers, "Threads")->check(CLI::Range(1, 256));
  app.add_option("--max-rejects", a.max_rejects, "Stop after more rejected rows than this; -1: never");
  app.add_option("--rejects", a.rejects, "Rejected rows as JSON lines (default DIR.rejects.jsonl)")->type_name("FILE");
  app.add_flag("--force", a.force, "Replace an existing output folder");
}

void run(Arguments& arguments) {
  if (arguments.help_config) {
    fmt::print("{}", to_help(VisionOptions()));
    return;
  }
  for (const auto& [path, flag] : {std::pair(arguments.list, "--list"), std::pair(arguments.output, "--output")}) {
    if (path.empty()) throw CLI::RequiredError(flag);
  }
  if (arguments.rejects.empty()) {
    const fs::path& output = arguments.output;
    arguments.rejects = output.has_filename() ? output : output.parent_path();
    arguments.rejects += ".rejects.jsonl";
  }
  end_tidily();
  Import(arguments).run();
}

}  // namespace

void add_import_images(CLI::App& app) {
  CLI::App* command = app.add_subcommand("import-images", "Photos and titles become a dataset of regions.");
  const auto arguments = std::make_shared<Arguments>();
  add_options(*command, arguments);
  command->footer(
      "Example: capture_data import-images --list photos.csv --output data/train --fit-scaling\n"
      "         capture_data import-images --list shop.csv --output data/gallery --scaling "
      "data/train/scaling.safetensors");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace capture
