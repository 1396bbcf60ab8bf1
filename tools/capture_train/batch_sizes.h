// capture_train --find-batch-size.
#pragma once

#include "capture/train/config.h"

namespace capture {

/// Prints a line for each batch size that fits, as it is found, then the largest and the fastest. `gibibytes`: the RAM
/// that a CPU run may take; 0: what the machine has to spare.
void print_batch_sizes(const TrainConfig& config, double gibibytes);

}  // namespace capture
