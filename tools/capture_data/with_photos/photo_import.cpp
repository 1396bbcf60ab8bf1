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
#include "capture/data/import/rejects_file.h"
#include "capture/data/shard_set_writer.h"
#include "capture/vision/feature_scaling.h"
#include "capture/vision/photo_list.h"
#include "common/photo_sample.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr const char* kScalingFile = "scaling.safetensors";

/// A photo, or why there is none.
template <class T>
struct Outcome {
  std::optional<T> result = {};
  std::string problem = {};
};

Sample to_sample(const PhotoEntry& entry, ExtractedImage&& extracted) {
  Sample sample{.id = entry.id, .titles = entry.titles, .labels = entry.labels, .views = {}, .thumbnail = {}};
  for (ImageRegions& view : extracted.views) sample.views.push_back(to_regions(std::move(view)));
  sample.thumbnail.assign(reinterpret_cast<const char*>(extracted.thumbnail.data()), extracted.thumbnail.size());
  return sample;
}

struct Encoded {
  EncodedSample sample;
  int64_t regions = 0;  // of the photo itself
};

/// What goes wrong with one photo stays with it.
template <class Work>
auto attempt(const PhotoEntry& entry, const Work& work) -> Outcome<decltype(work())> {
  if (!entry.problem.empty()) return {.problem = entry.problem};
  try {
    return {.result = work()};
  } catch (const UserError& error) {
    return {.problem = error.what()};
  } catch (const std::exception& error) {
    return {.problem = std::string("the decoder or the extractor failed: ") + error.what()};
  }
}

/// One import. Each step is one member, called in order by run().
class PhotoImport {
 public:
  PhotoImport(const PhotoImportOptions& options, const std::atomic<bool>& interrupted)
      : options_(options),
        interrupted_(interrupted),
        vision_(options.vision),
        entries_(read_photo_list(options.list, options.label_separator)),
        given_scaling_(vision_.features.scaling.empty() ? "" : read_file(vision_.features.scaling)),
        writer_(options.output, {.shard_samples = options.shard_samples,
                                 .source = describe_source(),
                                 .beside = {kScalingFile},
                                 .start_over = options.force}) {}

  std::string run() {
    const auto start = std::chrono::steady_clock::now();
    if (writer_.complete()) {
      return fmt::format("{}: was imported before, {} photos", options_.output.string(), writer_.size());
    }
    settle_scaling();
    extractor_ = std::make_unique<RegionExtractor>(vision_);
    layout_ = {.feature_width = extractor_->feature_width(),
               .max_regions = extractor_->max_regions(),
               .max_views = 1 + vision_.views.count,
               .class_count = 0,
               .feature_type = options_.feature_type};
    writer_.begin(layout_, describe_origin());
    go_on();
    import_entries();
    finish();
    return summary(std::chrono::steady_clock::now() - start);
  }

 private:
  /// Names without folders: the same photos give the same bytes wherever they lie.
  Json named_vision() const {
    VisionOptions named = vision_;
    if (options_.fit_scaling || !named.features.scaling.empty()) named.features.scaling = kScalingFile;
    named.features.torchscript.file = fs::path(named.features.torchscript.file).filename();
    return to_json(named);
  }

  /// What must be the same for an import to go on.
  Json describe_source() const {
    Json source = {{"list", options_.list.filename().string()},
                   {"list_xxh3", to_hex(checksum(read_file(options_.list)))},
                   {"label_separator", options_.label_separator},
                   {"vision", named_vision()}};
    if (options_.fit_scaling) source["fit_photos"] = options_.fit_photos;
    if (!given_scaling_.empty()) source["scaling_xxh3"] = to_hex(checksum(given_scaling_));
    return source;
  }

  Json describe_origin() const {
    return {{"tool", "capture_data import-images " CAPTURE_VERSION},
            {"list", options_.list.filename().string()},
            {"extractor", extractor_->fingerprint()},
            {"vision", named_vision()}};
  }

  void stop_if_interrupted() const {
    if (!interrupted_) return;
    throw UserError({.what = "interrupted",
                     .where = options_.output.string(),
                     .hint = "the same command again goes on behind the last whole shard"});
  }

  /// The scaling lies beside the shards, so that they carry all that a further photo needs to become like them. What an
  /// interrupted import from this source fitted or copied is there already.
  void settle_scaling() {
    if (!options_.fit_scaling && given_scaling_.empty()) return;
    const fs::path file = options_.output / kScalingFile;
    if (!is_there(file)) {
      if (options_.fit_scaling && !fit_scaling(file)) return;
      if (!options_.fit_scaling) write_file(file, given_scaling_);
    }
    vision_.features.scaling = file;
  }

  /// Standardisation, or whitening to the width that is wanted, from the list's own photos: at most fit_photos of them,
  /// evenly spread. False when none can be used: then every photo will be rejected, with its reason.
  bool fit_scaling(const fs::path& file) {
    VisionOptions plain = vision_;
    plain.features.width = 0;
    plain.views.count = 0;
    plain.thumbnail.longest_side = 0;
    const RegionExtractor extractor(plain);
    std::vector<const PhotoEntry*> usable;
    for (const auto& entry : entries_) {
      if (entry.problem.empty()) usable.push_back(&entry);
    }
    const size_t photos = std::min(usable.size(), static_cast<size_t>(options_.fit_photos));
    const int64_t measured = extractor.feature_width();
    const int64_t wanted = vision_.features.width;
    ScalingFit fit(measured, wanted < measured ? wanted : 0);
    ProgressBar progress("fit scaling", static_cast<int64_t>(photos), "photos");
    in_order(
        photos, static_cast<size_t>(options_.workers),
        [&](size_t i) {
          const PhotoEntry& entry = *usable[i * usable.size() / photos];
          return attempt(entry, [&] { return extract(extractor, entry).views.at(0).features; });
        },
        [&](size_t i, Outcome<std::vector<float>> features) {
          stop_if_interrupted();
          if (features.result) fit.add(*features.result);
          progress.update(static_cast<int64_t>(i) + 1);
        });
    if (fit.count() == 0) return false;
    write_scaling(file, fit.finish(features_fingerprint(vision_.features)));
    return true;
  }

  ExtractedImage extract(const RegionExtractor& extractor, const PhotoEntry& entry) const {
    return extractor.extract(extractor.read(options_.list.parent_path() / entry.image), entry.id);
  }

  /// To where the last whole shard ended.
  void go_on() {
    const Json& journal = writer_.journal();
    int64_t reject_bytes = 0;
    if (!journal.is_null()) {
      done_ = journal.at("rows").get<size_t>();
      regions_ = journal.at("regions").get<int64_t>();
      rejected_ = journal.at("rejected").get<int64_t>();
      reject_bytes = journal.at("reject_bytes").get<int64_t>();
    }
    resumed_ = writer_.size();
    rejects_ = std::make_unique<RejectsFile>(options_.rejects, reject_bytes);
  }

  void import_entries() {
    ProgressBar progress("import", std::ssize(entries_), "photos");
    const size_t first = done_;
    in_order(
        entries_.size() - first, static_cast<size_t>(options_.workers),
        [&](size_t i) {
          const PhotoEntry& entry = entries_[first + i];
          return attempt(entry, [&] {
            const Sample sample = to_sample(entry, extract(*extractor_, entry));
            return Encoded{encode(layout_, sample), sample.views.front().count()};
          });
        },
        [&](size_t i, Outcome<Encoded> outcome) {
          stop_if_interrupted();
          take(entries_[first + i], outcome);
          progress.update(static_cast<int64_t>(done_), rejected_ == 0 ? "" : std::to_string(rejected_) + " rejected");
        });
  }

  /// Adds the outcome's sample; where there is none, or the set refuses it, the entry goes to the rejects.
  void take(const PhotoEntry& entry, Outcome<Encoded>& outcome) {
    ++done_;
    if (outcome.result) {
      try {
        regions_ += outcome.result->regions;
        writer_.add(std::move(outcome.result->sample), [&] { return note(); });
        return;
      } catch (const UserError& error) {
        // A sample that is refused names itself; anything else (a full disk) is not the photo's fault.
        if (!error.parts().where.starts_with("sample ")) throw;
        outcome.problem = error.what();
        regions_ -= outcome.result->regions;
      }
    }
    reject({{"line", entry.line}, {"image", entry.image}, {"reason", outcome.problem}});
  }

  Json note() const {
    return {{"rows", done_}, {"regions", regions_}, {"rejected", rejected_}, {"reject_bytes", rejects_->sync()}};
  }

  void reject(const Json& line) {
    rejects_->add(line);
    if (rejected_++ == 0) first_reason_ = line["reason"];
    if (options_.max_rejects < 0 || rejected_ <= options_.max_rejects) return;
    throw UserError({.what = fmt::format("{}; the last, line {}: {}", rejected_in_words(rejected_),
                                         line["line"].get<int64_t>(), line["reason"].get<std::string>()),
                     .where = options_.list.string(),
                     .allowed = fmt::format("at most {} (--max-rejects)", options_.max_rejects),
                     .hint = "see " + options_.rejects.string()});
  }

  void finish() {
    rejects_->sync();
    if (writer_.size() == 0) {
      throw UserError({.what = fmt::format("none of the {} photos could be imported; the first: {}", entries_.size(),
                                           first_reason_),
                       .where = options_.list.string(),
                       .hint = "see " + options_.rejects.string()});
    }
    writer_.finish();
  }

  std::string summary(std::chrono::duration<double> time) const {
    uint64_t bytes = 0;
    for (const auto& file : fs::directory_iterator(options_.output)) bytes += file.file_size();
    std::string text = fmt::format("{}: {} photos", options_.output.string(), writer_.size());
    if (resumed_ > 0) text += fmt::format(", {} of them before the interruption", resumed_);
    text += fmt::format(", {:.1f} regions each of width {}",
                        static_cast<double>(regions_) / static_cast<double>(writer_.size()), layout_.feature_width);
    if (layout_.max_views > 1) text += fmt::format(", {} views", layout_.max_views);
    text += fmt::format(", {:.1f} MB, in {:.1f} s", static_cast<double>(bytes) * 1e-6, time.count());
    if (rejected_ > 0) text += fmt::format("\n{}, see {}", rejected_in_words(rejected_), options_.rejects.string());
    return text;
  }

  const PhotoImportOptions& options_;
  const std::atomic<bool>& interrupted_;
  VisionOptions vision_;
  std::vector<PhotoEntry> entries_;
  std::string given_scaling_;  // the file's bytes; read first, because starting over may delete it
  ShardSetWriter writer_;
  std::unique_ptr<RegionExtractor> extractor_;
  ShardLayout layout_;
  std::unique_ptr<RejectsFile> rejects_;
  std::string first_reason_;
  size_t done_ = 0;  // entries
  int64_t regions_ = 0;
  int64_t rejected_ = 0;
  int64_t resumed_ = 0;  // samples of an earlier run
};

}  // namespace

std::string import_photos(const PhotoImportOptions& options, const std::atomic<bool>& interrupted) {
  return PhotoImport(options, interrupted).run();
}

}  // namespace capture
