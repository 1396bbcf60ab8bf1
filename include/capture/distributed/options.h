// What can be told about the processes that train together.
#pragma once

#include <cstdint>

#include "capture/base/fields.h"

namespace capture {

/// How gradients travel between processes.
enum class Compression { none, bfloat16 };

/// What averages gradients over the processes: ours, or LibTorch's c10d::Reducer. See gradient_reducer.h.
enum class ReductionEngine { capture, c10d };

struct DistributedOptions {
  int64_t timeout_seconds = 300;
  ReductionEngine reducer = ReductionEngine::capture;
  bool overlap = true;
  int64_t bucket_megabytes = 25;
  Compression compression = Compression::none;
  bool bind_cores = false;  ///< see bind_cores()

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

}  // namespace capture
