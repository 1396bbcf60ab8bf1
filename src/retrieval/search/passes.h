// Steps that searches on the processor and on other devices share.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>

#include "rows.h"
#include "shortlist.h"

namespace capture {

/// Calls work(thread, i) for every i in [0, count), on LibTorch's threads: each takes the next when it is done with
/// one, so that none waits long for another. Threads are numbered from 0 to at::get_num_threads() - 1.
template <class Work>
void share_out(int64_t count, const Work& work) {
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min<int64_t>(at::get_num_threads(), count), 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) {
      for (int64_t i; (i = next.fetch_add(1)) < count;) work(thread, i);
    }
  });
}

/// Scores exactly whatever in the lists is uncertain, item after item, so that the gallery is read once and in order.
/// `queries` are the lists' queries, one after the other.
void score_exactly(const float* queries, const FloatRows& gallery, std::span<Shortlist> lists);

}  // namespace capture
