// A question's photo, seen as the gallery's photos were: the same regions, the same features.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "capture/data/dataset.h"
#include "capture/data/sample.h"
#include "capture/vision/region_extractor.h"
#include "capture_search/question.h"

namespace capture {

/// Where to look for what the gallery's photos were seen with.
struct PhotoReaderOptions {
  std::filesystem::path vision;    ///< vision options (JSON) instead of those that the gallery names
  std::filesystem::path scaling;   ///< the file that import-images --fit-scaling wrote; empty: look for it
  std::filesystem::path backbone;  ///< the TorchScript file of the gallery's features; empty: look for it
  std::vector<std::filesystem::path> folders = {};  ///< to look in, after the gallery's own and those beside it
};

/// Thread-safe.
class PhotoReader {
 public:
  /// A gallery made by import-images names its vision options, and the fingerprint of all that its features come from:
  /// files are looked for by name and taken only if they give that fingerprint. UserError when the gallery does not say
  /// (its regions came from elsewhere) and no options are given, when a file is not found, or when what is given makes
  /// other features than the gallery's.
  PhotoReader(const Dataset& gallery, const PhotoReaderOptions& options);

  /// The question as a sample, named by its photo, numbers rounded as the gallery's are stored. Without a photo it has
  /// no view. UserError, naming the file, when the photo is refused.
  Sample read(const Question& question) const;

 private:
  bool half_;  // the gallery's features are stored as float16
  std::unique_ptr<RegionExtractor> extractor_;
};

/// A question without a photo, as a sample.
Sample title_sample(const Question& question);

/// The folders of the shards that the run was trained on, as it names them; none without a run.
std::vector<std::filesystem::path> training_folders(const std::filesystem::path& run);

}  // namespace capture
