// Photos and titles become shards. Photos are worked on in parallel and written in the list's order, so that the bytes
// do not depend on the number of workers.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>

#include "capture/data/sample_view.h"
#include "capture/vision/region_extractor.h"

namespace capture {

struct PhotoImportOptions {
  std::filesystem::path list;
  std::filesystem::path output;
  std::filesystem::path rejects;  ///< where rejected rows go, one JSON object a line; no file when there are none
  VisionOptions vision;
  FeatureType feature_type = FeatureType::float16;
  std::string label_separator = "|";
  int64_t workers = 1;
  int64_t max_rejects = -1;       ///< more end the import; -1: never
  int64_t shard_samples = 10000;  ///< what an interruption may cost at most
  bool fit_scaling = false;
  int64_t fit_photos = 4000;  ///< most photos that fit_scaling looks at
  bool force = false;         ///< replace what is in the output folder
};

/// Imports the list into a folder of shards that can be read while it grows. The scaling, fitted here or given, lies
/// beside them as scaling.safetensors. Returns what was done, in words. `interrupted` may be set at any time, by a
/// signal handler too.
///
/// UserError when the list or the output folder cannot be used, no photo can be imported, too many are rejected, the
/// disk is full, or the import is interrupted. Started again with the same options, an import goes on behind its last
/// whole shard, even after it was killed, and the files come out as if nothing had happened.
std::string import_photos(const PhotoImportOptions& options, const std::atomic<bool>& interrupted);

}  // namespace capture
