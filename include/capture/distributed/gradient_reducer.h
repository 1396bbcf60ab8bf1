// Gradients, averaged over the processes while the backward pass still computes others.
//
// c10d::Reducer, the engine of LibTorch's DistributedDataParallel, gives the same bits where both can do a step
// (tests/distributed/c10d_reducer_test.cpp). It is not used, because here masks are drawn: a process may have no masked
// region where another has ten, and then lacks the head's gradient or, without a contrastive loss, the whole backward
// pass. For the latter Reducer waits for ever. For the former it walks the graph in every step and reads back from the
// GPU which gradients no process has; told not to, it lays its buckets out anew after the first step, and with them the
// order in which numbers are added, so that a resumed run of more than two processes would no longer repeat the
// uninterrupted one bit for bit.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "capture/distributed/options.h"
#include "capture/distributed/process_group.h"

namespace capture {

/// Hooks on a model's parameters, for as long as it lives. Gradients become views of flat buckets that are filled in
/// the reverse order of `parameters`, roughly the order of the backward pass. A full bucket is sent once all before it
/// are: the messages are the same on every process whatever each of them computes.
class GradientReducer {
 public:
  /// Parameters that need no gradient are left out. All are on one device.
  GradientReducer(ProcessGroup group, const std::vector<at::Tensor>& parameters, const DistributedOptions& options);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  /// The backward pass that follows is the last before finish(): its gradients are final and may travel. Those of
  /// passes before it only add up here.
  void begin();

  /// Returns when every gradient is its mean over the processes. A parameter without one counts as zero where another
  /// process has one, and keeps none where no process has. On a GPU the current stream waits, the host does not.
  void finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace capture
