// One image-title pair as it is stored, and as an importer hands it over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace capture {

/// The regions of one image: what one pass of an extractor saw. Region order is the extractor's (best first).
/// The global region is not among them; a loader makes it from the regions it keeps.
struct Regions {
  int64_t image_width = 0;           ///< pixels
  int64_t image_height = 0;          ///< pixels
  std::vector<float> boxes = {};     ///< [n × 4] x1, y1, x2, y2 in pixels
  std::vector<float> features = {};  ///< [n × D]
  std::vector<float> classes = {};   ///< [n × C] detector class probabilities; empty when the dataset has none

  int64_t count() const { return static_cast<int64_t>(boxes.size() / 4); }
};

struct Sample {
  std::string id = {};                   ///< unique in a dataset, not empty
  std::vector<std::string> titles = {};  ///< at least one; the first is the title unless a loader is told to draw
  std::vector<std::string> labels = {};  ///< products shown, in order, duplicates kept; may be empty
  std::vector<Regions> views = {};       ///< at least one: the photo, then augmented copies of it, if any
  std::string thumbnail = {};            ///< JPEG bytes, or empty
  /// Ids of each title, without [CLS] and [SEP]; given exactly when the shard's layout names a tokenizer.
  std::vector<std::vector<int32_t>> token_ids = {};
};

}  // namespace capture
