#include "passes.h"

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "capture/tensor/parallel.h"

namespace capture {

namespace {

/// Rows that are read together.
constexpr int64_t kRows = 128;

struct Pair {
  int32_t query;
  Match* match;
};

/// The uncertain pairs in the order of their items, by counting: `ends[i]` is where those of item i end.
struct PairsByItem {
  PairsByItem(int64_t items, std::span<Shortlist> lists) : ends(static_cast<size_t>(items)) {
    for (Shortlist& list : lists) {
      for (const Match& match : list.uncertain()) ++ends[static_cast<size_t>(match.item)];
    }
    size_t total = 0;
    for (size_t& end : ends) end = std::exchange(total, total + end);
    pairs.resize(total);
    for (size_t q = 0; q < lists.size(); ++q) {
      for (Match& match : lists[q].uncertain()) {
        pairs[ends[static_cast<size_t>(match.item)]++] = {static_cast<int32_t>(q), &match};
      }
    }
  }

  /// Of items [begin, end).
  std::span<const Pair> of(int64_t begin, int64_t end) const {
    const size_t first = begin == 0 ? 0 : ends[static_cast<size_t>(begin) - 1];
    return std::span(pairs).subspan(first, ends[static_cast<size_t>(end) - 1] - first);
  }

  std::vector<size_t> ends;
  std::vector<Pair> pairs;
};

}  // namespace

void score_exactly(const float* queries, const FloatRows& gallery, std::span<Shortlist> lists) {
  const PairsByItem pairs(gallery.count(), lists);
  const auto width = static_cast<size_t>(gallery.width());
  for_each_task((gallery.count() + kRows - 1) / kRows, [&](int64_t run, int64_t) {
    const int64_t begin = run * kRows, end = std::min(begin + kRows, gallery.count());
    const std::span<const Pair> here = pairs.of(begin, end);
    if (here.empty()) return;
    at::Tensor buffer;
    const float* const rows = gallery.read(begin, end, buffer);
    for (const auto& [query, match] : here) {
      const float* const item = rows + (match->item - begin) * gallery.width();
      match->score = exact_score({queries + static_cast<size_t>(query) * width, width}, {item, width});
    }
  });
}

}  // namespace capture
