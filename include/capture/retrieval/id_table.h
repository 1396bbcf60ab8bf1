// Ids and their numbers, for hundreds of millions of look-ups.
#pragma once

#include <array>
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

/// Numbers different ids from 0, in the order in which they are added. An id of up to 12 bytes is compared as three
/// words, and one look-up touches about one cache line.
class IdTable {
 public:
  IdTable() { rebuild(1 << 4); }

  /// The id's number, and whether it is new.
  std::pair<int32_t, bool> add(std::string_view id) { return add(key_of(id), id); }
  /// The same of many ids, one after the other.
  std::vector<std::pair<int32_t, bool>> add_all(std::span<const std::string_view> ids);

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
  /// A short id's bytes, and in the last one what tells its length. Of a longer id its checksum: two of them may have
  /// the same key, but no long one has a short one's. Never zero, so that zero can stand for an empty place.
  struct Key {
    uint64_t low = 0;
    uint32_t high = 0;
    bool is_short() const { return high >> 24 != kLong; }
  };
  static constexpr uint32_t kLong = 0xFF;  // the last byte of a long id's key

  /// A cache line of places, filled from the first. Word by word, so that four keys are compared at once.
  struct alignas(64) Bucket {
    static constexpr size_t kPlaces = 4;
    using Words = std::array<uint32_t, kPlaces>;
    Words low, middle, high;  // of the keys
    Words numbers;            // the ids' + 1; 0: empty

    bool holds(size_t place, Key key) const {
      return (low[place] ^ static_cast<uint32_t>(key.low)) == 0 && middle[place] == key.low >> 32 &&
             high[place] == key.high;
    }
    int32_t find_short(Key key) const;
  };
  class Batch;

  static Key key_of(std::string_view id);
  size_t bucket_of(Key key) const { return (key.low * kMixLow + key.high * kMixHigh) >> shift_; }
  int32_t find(Key key, std::string_view id) const;
  std::pair<int32_t, bool> add(Key key, std::string_view id);
  void insert(Key key, int32_t number);
  void rebuild(size_t buckets);

  // Two odd numbers without a pattern: the upper bits of the sum of products depend on all bits of a key.
  static constexpr uint64_t kMixLow = 0x9E3779B97F4A7C15, kMixHigh = 0xC2B2AE3D27D4EB4F;

  std::vector<Bucket> buckets_;  // a power of two, at most half of their places taken; a full one goes on in the next
  int shift_ = 0;
  std::string bytes_;               // of all ids
  std::vector<size_t> ends_ = {0};  // [number] is where the id begins, [number + 1] where it ends
};

}  // namespace capture
