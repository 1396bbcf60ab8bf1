#include "piece_trie.h"

#include <utility>

namespace capture {

namespace {
constexpr int kFirstBits = 10;
}

PieceTrie::PieceTrie() : slots_(size_t{1} << kFirstBits, Slot{kEmpty, {}}), shift_(64 - kFirstBits) {}

void PieceTrie::insert(uint32_t root, std::u32string_view piece, int32_t id) {
  uint32_t node = root;
  for (size_t i = 0; i < piece.size(); ++i) {
    Step& step = edge(node, piece[i]);
    if (i + 1 == piece.size()) {
      step.id = id;
    } else {
      // Nodes are made only for characters that something follows, so that a walk ends at the last one.
      if (step.node == kLeaf) step.node = nodes_++;
      node = step.node;
    }
  }
}

PieceTrie::Step& PieceTrie::edge(uint32_t node, char32_t c) {
  if (2 * (used_ + 1) > slots_.size()) grow();
  Slot& slot = slots_[find(key(node, c))];
  if (slot.key == kEmpty) {
    slot.key = key(node, c);
    ++used_;
  }
  return slot.step;
}

void PieceTrie::grow() {
  std::vector<Slot> old(slots_.size() * 2, Slot{kEmpty, {}});
  old.swap(slots_);
  --shift_;
  for (const Slot& slot : old) {
    if (slot.key != kEmpty) slots_[find(slot.key)] = slot;
  }
}

}  // namespace capture
