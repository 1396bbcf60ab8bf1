#include "capture/distributed/options.h"

namespace capture {

void DistributedOptions::visit(FieldVisitor& f) {
  f.field("timeout_seconds", timeout_seconds,
          "Longest wait for the other processes, in one call; then the run ends and says who did not come.",
          {1, 7 * 86400});
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

}  // namespace capture
