// Ids and their numbers, for hundreds of millions of look-ups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace capture {

/// Stands for an id that no list holds, and for the label of something that has none.
inline constexpr int32_t kUnknown = -1;

/// Numbers different ids from 0, in the order in which they are added. An id of up to 15 bytes is compared as two
/// words; one look-up touches about two cache lines.
class IdTable {
 public:
  IdTable() { rebuild(1 << 6); }

  /// The id's number, and whether it is new.
  std::pair<int32_t, bool> add(std::string_view id);

  /// kUnknown when it was never added.
  int32_t find(std::string_view id) const { return find(key_of(id), id); }

  /// Numbers the parts of `text` between commas, `most` at most: without that bound one more than there are commas. The
  /// numbers stand in `scratch`, which grows as it must and may be used again, until its next use.
  std::span<const int32_t> find_all(std::string_view text, size_t most, std::vector<int32_t>& scratch) const;

  /// Makes room for this many ids at once.
  void reserve(size_t ids);

  int32_t size() const { return static_cast<int32_t>(ends_.size()) - 1; }
  /// Valid until the next id is added.
  std::string_view id(int32_t number) const {
    const size_t* const end = ends_.data() + number;
    return std::string_view(bytes_).substr(end[0], end[1] - end[0]);
  }

 private:
  /// The bytes of an id with its length + 1 in the last one; of a longer id, its checksum. Never zero, so that zero can
  /// stand for an empty place.
  struct Key {
    uint64_t low = 0;
    uint64_t high = 0;
    bool operator==(const Key& other) const { return ((low ^ other.low) | (high ^ other.high)) == 0; }
  };
  class Batch;

  static Key key_of(std::string_view id);
  size_t place_of(Key key) const { return (key.low * kMixLow + key.high * kMixHigh) >> shift_; }
  int32_t find(Key key, std::string_view id) const;
  void insert(Key key, int32_t number);
  void rebuild(size_t places);

  // Two odd numbers without a pattern: the upper bits of the sum of products depend on all bits of a key.
  static constexpr uint64_t kMixLow = 0x9E3779B97F4A7C15, kMixHigh = 0xC2B2AE3D27D4EB4F;

  std::vector<Key> keys_;  // a power of two, at most a third of them taken; a key stands at its place or soon after
  std::vector<int32_t> numbers_;
  int shift_ = 0;
  std::string bytes_;               // of all ids
  std::vector<size_t> ends_ = {0};  // [number] is where the id begins, [number + 1] where it ends
};

}  // namespace capture
