// Gradients, averaged over the processes while the backward pass still computes others.
//
// Two engines do it (DistributedOptions::reducer), and on two processes they give the same bits
// (tests/distributed/gradient_reducer_test.cpp). LibTorch's c10d::Reducer, that of its DistributedDataParallel, must be
// told of every step's graph, for masks are drawn: a process may have no masked region where another has ten, and then
// lacks the head's gradient. It therefore walks the graph in every step, and where a process lacks a gradient reads
// back from the GPU whether all do. Told that all are there, it would lay its buckets out anew after the first step,
// and with them the order in which numbers are added, so that a resumed run of more than two processes would no longer
// repeat the uninterrupted one bit for bit. Ours sends the same messages whatever each process computes.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "capture/distributed/options.h"
#include "capture/distributed/process_group.h"

namespace capture {

/// Hooks on a model's parameters, for as long as it lives. Gradients become views of flat buckets that are filled in
/// the reverse order of `parameters`, roughly the order of the backward pass.
class GradientReducer {
 public:
  GradientReducer() = default;
  virtual ~GradientReducer() = default;
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  /// The last backward pass before finish(), from this number, which need not have a graph: its gradients are final and
  /// may travel. Those of passes before it, which nobody tells of, only add up.
  virtual void backward(const at::Tensor& total) = 0;

  /// Returns when every gradient is its mean over the processes. A parameter without one counts as zero where another
  /// process has one, and keeps none where no process has. On a GPU the current stream waits, the host does not.
  virtual void finish() = 0;
};

/// The engine that the options name. Parameters that need no gradient are left out; all are on one device. UserError
/// where c10d's has no way between the GPUs.
std::unique_ptr<GradientReducer> make_gradient_reducer(const ProcessGroup& group,
                                                       const std::vector<at::Tensor>& parameters,
                                                       const DistributedOptions& options);

}  // namespace capture
