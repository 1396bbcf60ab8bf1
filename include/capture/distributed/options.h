// What can be told about the processes that train together.
#pragma once

#include <cstdint>

#include "capture/base/fields.h"

namespace capture {

/// How gradients travel between processes.
enum class Compression { none, bfloat16 };

struct DistributedOptions {
  int64_t timeout_seconds = 300;
  bool overlap = true;
  int64_t bucket_megabytes = 25;
  Compression compression = Compression::none;
  bool bind_cores = false;  ///< see bind_cores()

  void visit(FieldVisitor& f);
};

}  // namespace capture
