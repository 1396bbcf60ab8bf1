#include "capture_search/photo_reader.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <set>
#include <utility>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "common/photo_sample.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kThumbnailSide = 192;  // where the gallery has no thumbnails, a page still shows the question's photo

/// What the gallery says of how its photos were seen.
struct GalleryVision {
  Json options = {};             ///< null: it does not say
  std::string fingerprint = {};  ///< of the extractor
  std::string where;             ///< a shard, for messages
};

GalleryVision vision_of(const Dataset& gallery) {
  GalleryVision vision;
  for (const Shard& shard : gallery.shards()) {
    const Json& origin = shard.origin();
    const Json extractor = origin.is_object() ? origin.value("extractor", Json()) : Json();
    const std::string fingerprint = extractor.is_string() ? extractor.get<std::string>() : "";
    if (fingerprint.empty() || !origin.contains("vision")) return {.where = shard.path().string()};
    if (!vision.fingerprint.empty() && vision.fingerprint != fingerprint) {
      throw UserError({.what = "its regions were found in another way than those of " + vision.where,
                       .where = shard.path().string(),
                       .hint = "import the gallery again, all of it with the same vision options"});
    }
    vision = {origin["vision"], fingerprint, shard.path().string()};
  }
  return vision;
}

/// The folders in which a file of the gallery's import may lie: its own, those beside it (training shards hold the
/// scaling that a gallery was imported with), then those that are given.
std::vector<fs::path> folders_near(const Dataset& gallery, const std::vector<fs::path>& given) {
  std::vector<fs::path> folders;
  const auto add = [&](const fs::path& folder) {
    if (std::ranges::find(folders, folder) == folders.end()) folders.push_back(folder);
  };
  std::error_code ignored;
  for (const Shard& shard : gallery.shards()) add(fs::absolute(shard.path(), ignored).parent_path());
  const std::vector<fs::path> own = folders;
  for (const fs::path& folder : own) {
    add(folder.parent_path());
    std::vector<fs::path> beside;
    for (const auto& entry : fs::directory_iterator(folder.parent_path(), ignored)) {
      if (entry.is_directory(ignored)) beside.push_back(entry.path());
    }
    std::ranges::sort(beside);
    std::ranges::for_each(beside, add);
  }
  std::ranges::for_each(given, add);
  return folders;
}

/// One of the files that the options name.
struct NamedFile {
  const char* what;       ///< "feature scaling"
  const char* flag;       ///< "--scaling"
  std::string usual;      ///< what imports call their copy of it
  std::string name;       ///< without its folder; empty: there is none
  const fs::path& given;  ///< on the command line; empty: look for it
};

/// The places where the file may be: where the command line says, or wherever one of that name lies, or one of the name
/// that imports give to it.
std::vector<std::string> candidates(const NamedFile& file, const std::vector<fs::path>& folders,
                                    const GalleryVision& vision) {
  if (!file.given.empty()) return {file.given.string()};
  if (file.name.empty()) return {""};
  std::vector<std::string> found;
  std::error_code ignored;
  for (const fs::path& folder : folders) {
    for (const std::string& name : std::set<std::string>{file.name, file.usual}) {
      if (fs::is_regular_file(folder / name, ignored)) found.push_back((folder / name).string());
    }
  }
  if (!found.empty()) return found;
  throw UserError({.what = std::string("was made with the ") + file.what + " \"" + file.name +
                           "\", which lies neither beside it nor in the folders next to it",
                   .where = vision.where,
                   .hint = std::string("name the file with ") + file.flag + " FILE"});
}

[[noreturn]] void refuse_files(const GalleryVision& vision, const NamedFile& scaling, const NamedFile& backbone) {
  const NamedFile& named = scaling.given.empty() ? backbone : scaling;
  if (!named.given.empty()) {
    throw UserError(
        {.what = "is not what the gallery was made with",
         .where = named.given.string(),
         .hint = std::string("name the file of its import, or leave ") + named.flag + " out to have it looked for"});
  }
  const bool files = !scaling.name.empty() || !backbone.name.empty();
  throw UserError(
      {.what = files ? "none of the files near it gives the features that it was made with"
                     : "was made by another version of capture_data, which saw photos in another way",
       .where = vision.where,
       .hint = files ? "name the files of its import with --scaling and --backbone" : "import the gallery again"});
}

/// The gallery's own extractor: its options, with the files with which they give the gallery's fingerprint.
std::unique_ptr<RegionExtractor> gallery_extractor(const Dataset& gallery, const GalleryVision& vision,
                                                   const PhotoReaderOptions& given) {
  VisionOptions options;
  read_options(JsonDocument{.root = vision.options, .origins = {{"", vision.where}}}, options);
  if (options.thumbnail.longest_side == 0) options.thumbnail.longest_side = kThumbnailSide;
  options.views.count = 0;
  FeatureOptions& features = options.features;
  if (!given.backbone.empty() && features.kind != FeatureKind::torchscript) {
    throw UserError({.what = "the gallery's features come from no backbone",
                     .where = "--backbone " + given.backbone.string(),
                     .hint = "leave it out"});
  }
  const NamedFile scaling{"feature scaling", "--scaling", "scaling.safetensors", features.scaling, given.scaling};
  const NamedFile backbone{"backbone", "--backbone", features.torchscript.file, features.torchscript.file,
                           given.backbone};
  const std::vector<fs::path> folders = folders_near(gallery, given.folders);
  const std::vector<std::string> backbones = candidates(backbone, folders, vision);
  const bool look = given.scaling.empty() && given.backbone.empty();
  for (const std::string& with_scaling : candidates(scaling, folders, vision)) {
    for (const std::string& with_backbone : backbones) {
      features.scaling = with_scaling;
      features.torchscript.file = with_backbone;
      try {
        auto extractor = std::make_unique<RegionExtractor>(options);
        if (extractor->fingerprint() == vision.fingerprint) return extractor;
      } catch (const UserError&) {
        if (!look) throw;  // what is found may belong to another import; what the user names is wrong
      }
    }
  }
  refuse_files(vision, scaling, backbone);
}

/// An extractor of the user's own making, for a gallery that does not say how its photos were seen.
std::unique_ptr<RegionExtractor> given_extractor(const GalleryVision& vision, const PhotoReaderOptions& given) {
  VisionOptions options;
  options.features.scaling = given.scaling.string();
  if (!given.backbone.empty()) {
    options.features.kind = FeatureKind::torchscript;
    options.features.torchscript.file = given.backbone.string();
  }
  read_options(read_config(given.vision), options);
  options.views.count = 0;
  auto extractor = std::make_unique<RegionExtractor>(options);
  if (!vision.fingerprint.empty() && extractor->fingerprint() != vision.fingerprint) {
    throw UserError({.what = "makes other features than those of the gallery",
                     .where = given.vision.string(),
                     .allowed = "the options that " + vision.where + " was imported with",
                     .hint = "leave --vision out to take the gallery's own"});
  }
  return extractor;
}

std::unique_ptr<RegionExtractor> make_extractor(const Dataset& gallery, const PhotoReaderOptions& given) {
  const GalleryVision vision = vision_of(gallery);
  if (!given.vision.empty()) return given_extractor(vision, given);
  if (!vision.options.is_null()) return gallery_extractor(gallery, vision, given);
  throw UserError({.what = "does not say how regions were found in its photos, so a new photo cannot be compared",
                   .where = vision.where,
                   .hint = "ask with a title, name the vision options with --vision FILE, or make the gallery with "
                           "capture_data import-images"});
}

}  // namespace

PhotoReader::PhotoReader(const Dataset& gallery, const PhotoReaderOptions& options)
    : half_(gallery.shards().front().header().layout.feature_type == FeatureType::float16),
      extractor_(make_extractor(gallery, options)) {
  if (extractor_->feature_width() == gallery.feature_width()) return;
  throw UserError({.what = "gives regions of " + std::to_string(extractor_->feature_width()) +
                           " numbers, those of the gallery have " + std::to_string(gallery.feature_width()),
                   .where = options.vision.string(),
                   .allowed = "the vision options that the gallery was made with"});
}

Sample PhotoReader::read(const Question& question) const {
  Sample sample = title_sample(question);
  if (question.photo.empty()) return sample;
  ExtractedImage extracted = extractor_->extract(extractor_->read(question.photo), question.photo.string());
  Regions regions = to_regions(std::move(extracted.views.front()));
  if (half_) {
    for (float& value : regions.features) value = c10::Half(value);
  }
  sample.views.push_back(std::move(regions));
  sample.thumbnail.assign(reinterpret_cast<const char*>(extracted.thumbnail.data()), extracted.thumbnail.size());
  return sample;
}

Sample title_sample(const Question& question) {
  Sample sample{.id = question.photo.empty() ? question.title : question.photo.string()};
  if (!question.title.empty()) sample.titles.push_back(question.title);
  return sample;
}

std::vector<fs::path> training_folders(const fs::path& run) {
  const fs::path file = run / "config.resolved.json";
  std::error_code ignored;
  if (run.empty() || !fs::exists(file, ignored)) return {};
  const Json config = read_json(file).root;
  const Json::json_pointer place("/data/train");
  if (!config.contains(place) || !config[place].is_array()) return {};
  std::vector<fs::path> folders;
  for (const Json& folder : config[place]) {
    if (folder.is_string()) folders.emplace_back(folder.get<std::string>());
  }
  return folders;
}

}  // namespace capture
