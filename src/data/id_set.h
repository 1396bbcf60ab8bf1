// Which ids have been seen, in 32 to 64 bytes each whatever their length.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "capture/base/files.h"

namespace capture {

/// Holds 64-bit checksums and where each id is to be found. Two ids of one checksum are told apart by looking the first
/// one up, so answers are exact.
class IdSet {
 public:
  /// Adds the id found at `place` >= 0. Returns the place of an equal id added before, and then adds nothing.
  /// `id_at(place)` gives an id that was added.
  template <class IdAt>
  std::optional<int64_t> insert(std::string_view id, int64_t place, const IdAt& id_at) {
    return insert(checksum(id), id, place, id_at);
  }

  /// The same with a hash of the caller's, which equal ids must share.
  template <class IdAt>
  std::optional<int64_t> insert(uint64_t hash, std::string_view id, int64_t place, const IdAt& id_at) {
    return insert_unless(hash, place, [&](int64_t known) { return id_at(known) == id; });
  }

  /// The same for an id that is only looked at where another has its hash: `equals(known)` says whether the id added at
  /// `known` is equal.
  template <class Equals>
  std::optional<int64_t> insert_unless(uint64_t hash, int64_t place, const Equals& equals) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    size_t at = first(hash);
    for (; slots_[at].place >= 0; at = next(at)) {
      if (slots_[at].hash == hash && equals(slots_[at].place)) return slots_[at].place;
    }
    slots_[at] = {hash, place};
    ++count_;
    return {};
  }

  /// Adds an id that is known to differ from all others.
  void insert_new(uint64_t hash, int64_t place) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    put({hash, place});
    ++count_;
  }

 private:
  struct Slot {
    uint64_t hash = 0;
    int64_t place = -1;
  };

  // The number of slots is a power of two.
  size_t first(uint64_t hash) const { return hash & (slots_.size() - 1); }
  size_t next(size_t at) const { return (at + 1) & (slots_.size() - 1); }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 1024 : 2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.place >= 0) put(slot);
    }
  }

  void put(const Slot& slot) {
    size_t at = first(slot.hash);
    while (slots_[at].place >= 0) at = next(at);
    slots_[at] = slot;
  }

  std::vector<Slot> slots_;
  size_t count_ = 0;
};

}  // namespace capture
