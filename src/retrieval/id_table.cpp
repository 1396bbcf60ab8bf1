#include "capture/retrieval/id_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "capture/base/files.h"

namespace capture {

namespace {

/// An id of more bytes is known by its checksum.
constexpr size_t kShort = 12;
/// How many bytes are searched for commas at once.
constexpr size_t kBlock = 64;
/// Ids that are added together.
constexpr size_t kTogether = 64;

/// For each length of a short id: what to keep of the words at its start, and what its key says of the length. A key
/// has no room for more where an id fills it; see fills_oddly().
struct Kept {
  uint64_t low;
  uint32_t high;
  uint32_t length;
};
constexpr auto kKept = [] {
  std::array<Kept, kShort + 1> kept{};
  for (uint32_t size = 0; size <= kShort; ++size) {
    const uint32_t low = size < 8 ? size : 8, high = size - low;
    kept[size] = {low == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * low) - 1,
                  static_cast<uint32_t>((uint64_t{1} << 8 * high) - 1), size < kShort ? (size + 1) << 24 : 0};
  }
  return kept;
}();

/// Whether an id of kShort bytes ends with one that a shorter or a longer id's key has there: then it counts as long.
bool fills_oddly(uint32_t high) {
  return high >> 24 <= kShort || high >> 24 == 0xFF;
}

template <class Word>
Word word(const char* bytes) {
  Word value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (std::endian::native == std::endian::little) return value;
  return sizeof value == 8 ? static_cast<Word>(__builtin_bswap64(value)) : static_cast<Word>(__builtin_bswap32(value));
}

/// Writes where the commas among the first `size` bytes are to `places`, and returns the end of what it wrote. Places
/// further on may be written too, kBlock past that end at most.
const char** plain_commas(const char* bytes, size_t size, const char** places) {
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] == ',') *places++ = bytes + i;
  }
  return places;
}

#ifdef __x86_64__
__attribute__((target("avx2,bmi,popcnt"))) const char** avx2_commas(const char* bytes, size_t size,
                                                                    const char** places) {
  // Ids of a usual length: so many commas in a block are written without a question, which could not be guessed.
  constexpr size_t kUsual = 6;
  const __m256i comma = _mm256_set1_epi8(',');
  size_t i = 0;
  for (; i + kBlock <= size; i += kBlock) {
    const auto* const block = reinterpret_cast<const __m256i*>(bytes + i);
    const auto low = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256(block), comma)));
    const auto high =
        static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256(block + 1), comma)));
    uint64_t bits = uint64_t{high} << 32 | low;
    const auto count = static_cast<size_t>(std::popcount(bits));
    for (size_t k = 0; k < kUsual; ++k, bits &= bits - 1) places[k] = bytes + i + std::countr_zero(bits);
    for (size_t k = kUsual; k < count; ++k, bits &= bits - 1) places[k] = bytes + i + std::countr_zero(bits);
    places += count;
  }
  return plain_commas(bytes + i, size - i, places);
}
#endif

const char** commas(const char* bytes, size_t size, const char** places) {
#ifdef __x86_64__
  static const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
  if (avx2) return avx2_commas(bytes, size, places);
#endif
  return plain_commas(bytes, size, places);
}

}  // namespace

IdTable::Key IdTable::key_of(std::string_view id) {
  if (id.size() <= kShort) {
    char bytes[kShort] = {};
    if (!id.empty()) std::memcpy(bytes, id.data(), id.size());
    const Key key{word<uint64_t>(bytes), word<uint32_t>(bytes + 8) | kKept[id.size()].length};
    if (id.size() < kShort || !fills_oddly(key.high)) return key;
  }
  return {checksum(id), kLong << 24 | static_cast<uint32_t>(id.size() & 0xFFFFFF)};
}

[[gnu::always_inline]] inline int32_t IdTable::Bucket::find_short(Key key) const {
  using Four = uint32_t __attribute__((vector_size(16)));
  const auto load = [](const Words& words) {
    Four four;
    std::memcpy(&four, words.data(), sizeof four);
    return four;
  };
  const auto all = [](uint64_t value) { return Four{} + static_cast<uint32_t>(value); };
  const auto same = (load(low) == all(key.low)) & (load(middle) == all(key.low >> 32)) & (load(high) == all(key.high));
  // One place at most has the key, so that the sum is its number.
  Four found = load(numbers) & reinterpret_cast<Four>(same);
  found += __builtin_shufflevector(found, found, 2, 3, 0, 1);
  found += __builtin_shufflevector(found, found, 1, 0, 3, 2);
  return static_cast<int32_t>(found[0]) - 1;
}

int32_t IdTable::find(Key key, std::string_view id) const {
  for (size_t at = bucket_of(key);; at = (at + 1) & (buckets_.size() - 1)) {
    const Bucket& bucket = buckets_[at];
    for (size_t place = 0; place < Bucket::kPlaces; ++place) {
      if (bucket.numbers[place] == 0) return kUnknown;
      const auto number = static_cast<int32_t>(bucket.numbers[place]) - 1;
      if (bucket.holds(place, key) && (key.is_short() || this->id(number) == id)) return number;
    }
  }
}

std::pair<int32_t, bool> IdTable::add(Key key, std::string_view id) {
  if (const int32_t found = find(key, id); found != kUnknown) return {found, false};
  bytes_.append(id);
  ends_.push_back(bytes_.size());
  if (2 * ends_.size() > Bucket::kPlaces * buckets_.size()) {
    rebuild(2 * buckets_.size());
  } else {
    insert(key, size() - 1);
  }
  return {size() - 1, true};
}

std::vector<std::pair<int32_t, bool>> IdTable::add_all(std::span<const std::string_view> ids) {
  reserve(static_cast<size_t>(size()) + ids.size());
  std::vector<std::pair<int32_t, bool>> numbers;
  numbers.reserve(ids.size());
  std::array<Key, kTogether> keys;
  for (size_t begin = 0; begin < ids.size(); begin += kTogether) {
    const auto some = ids.subspan(begin, std::min(kTogether, ids.size() - begin));
    // All places are asked for before the first is looked at.
    for (size_t i = 0; i < some.size(); ++i) {
      keys[i] = key_of(some[i]);
      __builtin_prefetch(&buckets_[bucket_of(keys[i])], 1);
    }
    for (size_t i = 0; i < some.size(); ++i) numbers.push_back(add(keys[i], some[i]));
  }
  return numbers;
}

void IdTable::reserve(size_t ids) {
  ends_.reserve(ids + 1);
  const size_t buckets = std::bit_ceil(2 * (ids + 1) / Bucket::kPlaces + 1);
  if (buckets > buckets_.size()) rebuild(buckets);
}

void IdTable::insert(Key key, int32_t number) {
  for (size_t at = bucket_of(key);; at = (at + 1) & (buckets_.size() - 1)) {
    Bucket& bucket = buckets_[at];
    const auto empty = std::ranges::find(bucket.numbers, 0U);
    if (empty == bucket.numbers.end()) continue;
    const auto place = static_cast<size_t>(empty - bucket.numbers.begin());
    bucket.low[place] = static_cast<uint32_t>(key.low);
    bucket.middle[place] = static_cast<uint32_t>(key.low >> 32);
    bucket.high[place] = key.high;
    bucket.numbers[place] = static_cast<uint32_t>(number) + 1;
    return;
  }
}

void IdTable::rebuild(size_t buckets) {
  buckets_.assign(buckets, Bucket{});
  shift_ = 64 - std::countr_zero(buckets);
  for (int32_t number = 0; number < size(); ++number) insert(key_of(id(number)), number);
}

/// Ids that are looked up together. One thing is done to all of them before the next: no step waits for the one before,
/// and while some buckets are on their way from memory, others are asked for.
class IdTable::Batch {
 public:
  /// What is searched for commas at a time: about a hundred ids.
  static constexpr size_t kBytes = 20 * kBlock;
  /// How many buckets are on their way at once.
  static constexpr size_t kAhead = 32;

  explicit Batch(const IdTable& table) : table_(table) {}

  /// Finds where the ids end that end before `end`; with `last`, one more ends there. Returns how many.
  size_t split(const char* begin, const char* end, bool last) {
    const char** const after = commas(begin, static_cast<size_t>(end - begin), ends_.data());
    const auto count = static_cast<size_t>(after - ends_.data());
    if (!last) return count;
    ends_[count] = end;
    return count + 1;
  }

  /// Looks the first `count` of them up, of which the first begins at `id`. Returns where the next one begins. Up to
  /// `text_end` all bytes can be read.
  const char* look_up(const char* id, size_t count, const char* text_end, int32_t* numbers) {
    const char* asked = id;
    const auto ask = [&](size_t i) {
      const char* const end = ends_[i];
      keys_[i] = key_at(asked, static_cast<size_t>(end - asked), text_end);
      places_[i] = &table_.buckets_[table_.bucket_of(keys_[i])];
      __builtin_prefetch(places_[i]);
      asked = end + 1;
    };
    const char* begin = id;
    const auto answer = [&](size_t i) {
      numbers[i] = places_[i]->find_short(keys_[i]);
      // Nearly always that is it.
      if (numbers[i] == kUnknown || !keys_[i].is_short()) {
        numbers[i] = table_.find(keys_[i], {begin, static_cast<size_t>(ends_[i] - begin)});
      }
      begin = ends_[i] + 1;
    };
    const size_t ahead = std::min(kAhead, count);
    for (size_t i = 0; i < ahead; ++i) ask(i);
    for (size_t i = ahead; i < count; ++i) {
      ask(i);
      answer(i - ahead);
    }
    for (size_t i = count - ahead; i < count; ++i) answer(i);
    return begin;
  }

 private:
  static Key key_at(const char* id, size_t size, const char* text_end) {
    // The usual case: two words at once, where the bytes behind the id can be read too.
    if (size <= kShort && text_end - id >= static_cast<ptrdiff_t>(kShort)) {
      const Kept& kept = kKept[size];
      const Key key{word<uint64_t>(id) & kept.low, (word<uint32_t>(id + 8) & kept.high) | kept.length};
      if (size < kShort || !fills_oddly(key.high)) return key;
    }
    return key_of({id, size});
  }

  const IdTable& table_;
  std::array<const char*, kBytes + kBlock> ends_;
  std::array<Key, kBytes + 1> keys_;
  std::array<const Bucket*, kBytes + 1> places_;
};

std::span<const int32_t> IdTable::find_all(std::string_view text, size_t most, std::vector<int32_t>& scratch) const {
  Batch batch(*this);
  const char *id = text.data(), *const end = id + text.size();
  size_t done = 0;
  for (const char* searched = id; done < most;) {
    const char* const here = searched;
    searched += std::min(Batch::kBytes, static_cast<size_t>(end - here));
    const size_t count = std::min(batch.split(here, searched, searched == end), most - done);
    if (scratch.size() < done + count) scratch.resize(2 * (done + count));
    id = batch.look_up(id, count, end, scratch.data() + done);
    done += count;
    if (searched == end) break;
  }
  return std::span(scratch).first(done);
}

}  // namespace capture
