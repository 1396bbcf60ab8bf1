// Retrieval measured during training. This room does not know how that is done: whoever starts a run says it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "capture/model/hybrid_stream.h"
#include "capture/train/stop_request.h"

namespace capture {

/// Figures by name, each the better the higher: "mAP@10" is one of them.
using GalleryFigures = std::vector<std::pair<std::string, double>>;

struct GalleryEvaluation {
  /// Measures a model, which it may put into evaluation mode, and changes nothing else of it. All ranks call it
  /// together; rank 0's figures count. There are none when `stopping` said yes.
  std::function<std::optional<GalleryFigures>(HybridStreamModel& model, const StopQuestion& stopping)> measure = {};
  std::string fingerprint = {};  ///< of gallery, queries and recipe: only where it is the same can figures be compared
};

}  // namespace capture
