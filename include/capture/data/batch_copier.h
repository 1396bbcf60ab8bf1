// Copies of batches to a GPU, beside its computation.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Stream.h>

#include <optional>

#include "capture/data/batch.h"

namespace capture {

/// Moves batches to a device. On a GPU that happens on a stream of its own: the host runs ahead of the GPU, so the copy
/// of one step's batch goes on while the GPU computes the step before. Nobody waits but the operations that read the
/// batch.
class BatchCopier {
 public:
  explicit BatchCopier(at::Device device);

  /// `batch` should lie in page-locked memory (LoaderPlan::pin_memory): a copy from other memory holds the host up. On
  /// a CPU nothing happens.
  void move(Batch& batch) const;

 private:
  at::Device device_;
  std::optional<c10::Stream> stream_;
};

}  // namespace capture
