#include "capture/model/sequences.h"

#include <ATen/ATen.h>

namespace capture {

at::Tensor by_sequence(const at::Tensor& rows, const Sequences& sequences) {
  return rows.view({sequences.count, sequences.longest, rows.size(1)});
}

at::Tensor first_of_each(const at::Tensor& rows, const Sequences& sequences) {
  if (sequences.packed()) return rows.index_select(0, sequences.starts.narrow(0, 0, sequences.count));
  return rows.unflatten(0, {sequences.count, sequences.longest}).select(1, 0);
}

Sequences firsts_of(const Sequences& sequences) {
  Sequences firsts{.count = sequences.count, .longest = 1};
  if (!sequences.packed()) return firsts;
  firsts.starts = at::arange(sequences.count + 1, sequences.starts.options());
  if (sequences.streams.defined()) {
    firsts.streams = sequences.streams.index_select(0, sequences.starts.narrow(0, 0, sequences.count));
  }
  return firsts;
}

}  // namespace capture
