// How large a batch may be on this machine, and which size trains fastest: found by trying.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "capture/train/config.h"

namespace capture {

struct BatchSizeSearch {
  int64_t steps = 3;        ///< timed at each size, after one that is not
  int64_t largest = 65536;  ///< size to try
  int64_t memory = 0;       ///< bytes of RAM that a CPU run may hold; 0: nine tenths of what the machine has to spare
};

struct BatchSizeTrial {
  int64_t batch_size;
  double samples_per_second;
  int64_t peak_memory;  ///< bytes: of the GPU, what LibTorch reserved; of RAM, what no file backs
};

struct BatchSizes {
  std::vector<BatchSizeTrial> trials;  ///< of the sizes that fit, the smallest first
  std::string ending;                  ///< why no larger size was tried
};

/// Trains with batches of 1, 2, 4, … pairs of the configured data, as a run would, with nothing written, until memory,
/// the data or the search's limit ends it. `tell` gets each trial that fits when it is done. On a CPU no size is begun
/// whose memory, by the growth from the size before, would not fit, and none counts that took more. UserError when the
/// configuration is at fault, or not even one pair fits.
BatchSizes find_batch_sizes(TrainConfig config, const BatchSizeSearch& search,
                            const std::function<void(const BatchSizeTrial&)>& tell);

}  // namespace capture
