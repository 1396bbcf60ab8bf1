// The pieces of a WordPiece vocabulary as a trie over characters, its edges in one flat hash table: the longest piece
// that starts a given place is found in one walk, without building a string.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace capture {

class PieceTrie {
 public:
  static constexpr uint32_t kWordStart = 0;     ///< where matching begins at the start of a word
  static constexpr uint32_t kContinuation = 1;  ///< and inside one, where the vocabulary writes "##"
  static constexpr uint32_t kLeaf = 0xFFFFFFFF;
  static constexpr int32_t kNone = -1;

  struct Step {
    uint32_t node = kLeaf;  ///< where to go on from; kLeaf when no longer piece exists
    int32_t id = kNone;     ///< the piece that ends with this character, or kNone
  };

  PieceTrie();

  /// Adds a piece of at least one character, "##" taken off, below kWordStart or kContinuation.
  void insert(uint32_t root, std::u32string_view piece, int32_t id);

  /// From `node`, which is not kLeaf, along `c`.
  Step step(uint32_t node, char32_t c) const {
    const Slot& slot = slots_[find(key(node, c))];
    return slot.key == kEmpty ? Step{} : slot.step;
  }

  struct Match {
    size_t length = 0;  ///< characters matched; 0 when no piece begins here
    int32_t id = kNone;
  };

  /// The longest piece at the start of `text`.
  Match longest(uint32_t root, std::u32string_view text) const {
    Match match;
    Step at{root, kNone};
    for (size_t i = 0; i < text.size() && at.node != kLeaf; ++i) {
      at = step(at.node, text[i]);
      if (at.id != kNone) match = {i + 1, at.id};
    }
    return match;
  }

 private:
  struct Slot {
    uint64_t key;
    Step step;
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};

  static uint64_t key(uint32_t node, char32_t c) { return uint64_t{node} << 21 | c; }

  /// The slot that holds `key`, or the empty one where it belongs.
  size_t find(uint64_t key) const {
    size_t at = (key * 0x9E3779B97F4A7C15u) >> shift_;
    while (slots_[at].key != key && slots_[at].key != kEmpty) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  Step& edge(uint32_t node, char32_t c);
  void grow();

  std::vector<Slot> slots_;
  int shift_;
  size_t used_ = 0;
  uint32_t nodes_ = 2;
};

}  // namespace capture
