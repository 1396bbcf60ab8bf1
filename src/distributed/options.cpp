#include "capture/distributed/options.h"

namespace capture {

void DistributedOptions::visit(FieldVisitor& f) {
  f.field("timeout_seconds", timeout_seconds,
          "Longest wait for the other processes, in one call; then the run ends and says who did not come.",
          {1, 7 * 86400});
  f.choice(
      "reducer", reducer,
      "What averages gradients over the processes: capture, or c10d, the engine of LibTorch's "
      "DistributedDataParallel, to compare: on two processes it gives the same bits, and it walks the graph in every "
      "step.",
      Choices<ReductionEngine>{{"capture", ReductionEngine::capture}, {"c10d", ReductionEngine::c10d}});
  f.field("overlap", overlap,
          "Gradients travel while the backward pass still computes others; false: after it, to compare.");
  f.field("bucket_megabytes", bucket_megabytes, "Gradients that travel in one message.", {1, 4096});
  f.choice("compression", compression, "Number format in which gradients travel; bfloat16 halves the bytes.",
           Choices<Compression>{{"none", Compression::none}, {"bfloat16", Compression::bfloat16}});
  f.field(
      "bind_cores", bind_cores,
      "With --launch and torchrun, the processes of a machine divide its cores, and the threads of each stay on its "
      "own and near their memory. srun binds by itself (--cpu-bind).");
}

void DistributedOptions::check(FieldChecker& c) const {
  c.require(overlap || reducer == ReductionEngine::capture, "overlap",
            "is false, but the reducer c10d sends gradients during the backward pass",
            "true, or distributed.reducer = capture");
}

}  // namespace capture
