#include "photo_import.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/in_order.h"
#include "capture/base/progress.h"
#include "capture/data/shard_writer.h"
#include "capture/vision/feature_scaling.h"
#include "capture/vision/photo_list.h"
#include "import_folder.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr const char* kScalingFile = "scaling.safetensors";

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

/// One import. Each step is one member, called in order by run().
class PhotoImport {
 public:
  PhotoImport(const PhotoImportOptions& options, const std::atomic<bool>& interrupted)
      : options_(options),
        interrupted_(interrupted),
        vision_(options.vision),
        entries_(read_photo_list(options.list, options.label_separator)),
        folder_(options.output, options.force) {}

  std::string run() {
    const auto start = std::chrono::steady_clock::now();
    if (options_.fit_scaling) fit_scaling();
    extractor_ = std::make_unique<RegionExtractor>(vision_);
    import_entries();
    close_shard();
    write_rejects();
    if (samples_ == 0) {
      throw UserError({.what = fmt::format("none of the {} photos could be imported; the first: {}", entries_.size(),
                                           rejects_.front().reason),
                       .where = options_.list.string(),
                       .hint = "see " + options_.rejects.string()});
    }
    folder_.commit();
    return summary(std::chrono::steady_clock::now() - start);
  }

 private:
  /// What goes wrong with one photo stays with it. Runs on the workers.
  Outcome extract(const PhotoEntry& entry) const {
    if (!entry.problem.empty()) return {.sample = {}, .problem = entry.problem};
    try {
      const Image image = extractor_->read(options_.list.parent_path() / entry.image);
      return {.sample = to_sample(entry, extractor_->extract(image, entry.id)), .problem = {}};
    } catch (const UserError& error) {
      return {.sample = {}, .problem = error.what()};
    } catch (const std::exception& error) {
      return {.sample = {}, .problem = std::string("the decoder or the extractor failed: ") + error.what()};
    }
  }

  void stop_if_interrupted() const {
    if (interrupted_) throw UserError({.what = "interrupted; nothing was written", .where = options_.output.string()});
  }

  /// Standardisation, or whitening to the width that is wanted, from the list's own photos: at most fit_photos of them,
  /// evenly spread.
  void fit_scaling() {
    VisionOptions plain = vision_;
    plain.features.width = 0;
    plain.views.count = 0;
    plain.thumbnail.longest_side = 0;
    extractor_ = std::make_unique<RegionExtractor>(plain);
    std::vector<const PhotoEntry*> usable;
    for (const auto& entry : entries_) {
      if (entry.problem.empty()) usable.push_back(&entry);
    }
    const size_t photos = std::min(usable.size(), static_cast<size_t>(options_.fit_photos));
    const int64_t measured = extractor_->feature_width();
    const int64_t wanted = vision_.features.width;
    ScalingFit fit(measured, wanted < measured ? wanted : 0);
    ProgressBar progress("fit scaling", static_cast<int64_t>(photos), "photos");
    in_order(
        photos, static_cast<size_t>(options_.workers),
        [&](size_t i) { return extract(*usable[i * usable.size() / photos]); },
        [&](size_t i, Outcome outcome) {
          stop_if_interrupted();
          if (outcome.sample) fit.add(outcome.sample->views[0].features);
          progress.update(static_cast<int64_t>(i) + 1);
        });
    if (fit.count() == 0) return;  // every photo will be rejected, with its reason
    vision_.features.scaling = folder_.aside() / kScalingFile;
    write_scaling(vision_.features.scaling, fit.finish(features_fingerprint(vision_.features)));
  }

  void import_entries() {
    ProgressBar progress("import", std::ssize(entries_), "photos");
    in_order(
        entries_.size(), static_cast<size_t>(options_.workers), [&](size_t i) { return extract(entries_[i]); },
        [&](size_t i, Outcome outcome) {
          stop_if_interrupted();
          const PhotoEntry& entry = entries_[i];
          add(outcome);
          if (!outcome.problem.empty()) reject({entry.line, entry.image, outcome.problem});
          progress.update(static_cast<int64_t>(i) + 1,
                          rejects_.empty() ? "" : std::to_string(rejects_.size()) + " rejected");
        });
  }

  /// Writes the outcome's sample, if there is one; sets the problem when the shard refuses it.
  void add(Outcome& outcome) {
    if (!outcome.sample) return;
    if (shard_ && shard_->size() >= options_.shard_samples) close_shard();
    if (!shard_) open_shard();
    try {
      shard_->add(*outcome.sample);
    } catch (const UserError& error) {
      // A sample that is refused names itself; anything else (a full disk) is not the photo's fault.
      if (!error.parts().where.starts_with("sample ")) throw;
      outcome.problem = error.what();
      return;
    }
    ++samples_;
    regions_ += outcome.sample->views[0].count();
  }

  void reject(Reject reject) {
    rejects_.push_back(std::move(reject));
    if (options_.max_rejects < 0 || std::ssize(rejects_) <= options_.max_rejects) return;
    write_rejects();
    throw UserError({.what = fmt::format("{} rows were rejected; the last, line {}: {}", rejects_.size(),
                                         rejects_.back().line, rejects_.back().reason),
                     .where = options_.list.string(),
                     .allowed = fmt::format("at most {} (--max-rejects)", options_.max_rejects),
                     .hint = "see " + options_.rejects.string()});
  }

  void open_shard() {
    const ShardLayout layout{.feature_width = extractor_->feature_width(),
                             .max_regions = extractor_->max_regions(),
                             .max_views = 1 + vision_.views.count,
                             .class_count = 0,
                             .feature_type = options_.feature_type};
    // Names without folders: the same photos give the same bytes wherever they lie.
    VisionOptions named = vision_;
    named.features.scaling = fs::path(named.features.scaling).filename();
    named.features.torchscript.file = fs::path(named.features.torchscript.file).filename();
    Json origin = Json::object();
    origin["tool"] = "capture_data import-images " CAPTURE_VERSION;
    origin["list"] = options_.list.filename().string();
    origin["extractor"] = extractor_->fingerprint();
    origin["vision"] = to_json(named);
    shard_.emplace(folder_.aside() / fmt::format("{:05}{}", shards_++, kShardSuffix), layout, std::move(origin));
  }

  void close_shard() {
    // A shard whose every sample was refused is no shard.
    if (shard_ && shard_->size() > 0) shard_->finish();
    shard_.reset();
  }

  void write_rejects() const {
    if (rejects_.empty()) {
      std::error_code ignored;
      fs::remove(options_.rejects, ignored);
      return;
    }
    AtomicFile file(options_.rejects);
    for (const auto& [line, image, reason] : rejects_) {
      file.write(to_line({{"line", line}, {"image", image}, {"reason", reason}}) + "\n");
    }
    file.commit();
  }

  std::string summary(std::chrono::duration<double> time) const {
    uint64_t bytes = 0;
    for (const auto& file : fs::directory_iterator(options_.output)) bytes += file.file_size();
    const std::string views = vision_.views.count > 0 ? fmt::format(", {} views", 1 + vision_.views.count) : "";
    std::string text =
        fmt::format("{}: {} photos, {:.1f} regions each of width {}{}, {:.1f} MB, in {:.1f} s",
                    options_.output.string(), samples_, static_cast<double>(regions_) / static_cast<double>(samples_),
                    extractor_->feature_width(), views, static_cast<double>(bytes) * 1e-6, time.count());
    if (!rejects_.empty()) {
      text += fmt::format("\n{} rows were rejected, see {}", rejects_.size(), options_.rejects.string());
    }
    return text;
  }

  const PhotoImportOptions& options_;
  const std::atomic<bool>& interrupted_;
  VisionOptions vision_;
  std::vector<PhotoEntry> entries_;
  ImportFolder folder_;
  std::unique_ptr<RegionExtractor> extractor_;
  std::optional<ShardWriter> shard_;
  std::vector<Reject> rejects_;
  int64_t shards_ = 0;
  int64_t samples_ = 0;
  int64_t regions_ = 0;
};

}  // namespace

std::string import_photos(const PhotoImportOptions& options, const std::atomic<bool>& interrupted) {
  return PhotoImport(options, interrupted).run();
}

}  // namespace capture
