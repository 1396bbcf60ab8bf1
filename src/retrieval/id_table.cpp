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
constexpr size_t kShort = 15;
/// How many bytes are searched for commas at once.
constexpr size_t kBlock = 64;

/// For each length of a short id: what to keep of its two words.
constexpr auto kKept = [] {
  std::array<std::array<uint64_t, 2>, kShort + 1> kept{};
  for (size_t length = 0; length <= kShort; ++length) {
    const size_t low = length < 8 ? length : 8, high = length - low;
    kept[length] = {low == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * low) - 1, (uint64_t{1} << 8 * high) - 1};
  }
  return kept;
}();

uint64_t word(const char* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return std::endian::native == std::endian::little ? value : __builtin_bswap64(value);
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
  const uint64_t tag = (id.size() <= kShort ? id.size() + 1 : 0xFF) << 56;
  if (id.size() > kShort) return {checksum(id), tag | (id.size() & 0xFFFFFFFF)};
  char bytes[16] = {};
  if (!id.empty()) std::memcpy(bytes, id.data(), id.size());
  return {word(bytes), word(bytes + 8) | tag};
}

int32_t IdTable::find(Key key, std::string_view id) const {
  const size_t last = keys_.size() - 1;
  for (size_t place = place_of(key);; place = (place + 1) & last) {
    if (keys_[place] == key && (id.size() <= kShort || this->id(numbers_[place]) == id)) return numbers_[place];
    if (keys_[place] == Key{}) return kUnknown;
  }
}

std::pair<int32_t, bool> IdTable::add(std::string_view id) {
  const Key key = key_of(id);
  if (const int32_t found = find(key, id); found != kUnknown) return {found, false};
  bytes_.append(id);
  ends_.push_back(bytes_.size());
  if (3 * ends_.size() > keys_.size()) {
    rebuild(2 * keys_.size());
  } else {
    insert(key, size() - 1);
  }
  return {size() - 1, true};
}

void IdTable::reserve(size_t ids) {
  ends_.reserve(ids + 1);
  const size_t places = std::bit_ceil(3 * (ids + 1));
  if (places > keys_.size()) rebuild(places);
}

void IdTable::insert(Key key, int32_t number) {
  size_t place = place_of(key);
  while (keys_[place] != Key{}) place = (place + 1) & (keys_.size() - 1);
  keys_[place] = key;
  numbers_[place] = number;
}

void IdTable::rebuild(size_t places) {
  keys_.assign(places, Key{});
  numbers_.assign(places, kUnknown);
  shift_ = 64 - std::countr_zero(places);
  for (int32_t number = 0; number < size(); ++number) insert(key_of(id(number)), number);
}

/// Ids that are looked up together. One thing is done to all of them before the next: no step waits for the one before,
/// and while some keys are on their way from memory, others are asked for.
class IdTable::Batch {
 public:
  /// What is searched for commas at a time: about a hundred ids.
  static constexpr size_t kBytes = 20 * kBlock;

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
    const char* begin = id;
    for (size_t i = 0; i < count; ++i) {
      const char* const end = ends_[i];
      keys_[i] = key_at(begin, static_cast<size_t>(end - begin), text_end);
      places_[i] = table_.place_of(keys_[i]);
      __builtin_prefetch(&table_.keys_[places_[i]]);
      __builtin_prefetch(&table_.numbers_[places_[i]]);
      begin = end + 1;
    }
    begin = id;
    for (size_t i = 0; i < count; ++i) {
      const size_t place = places_[i];
      const std::string_view name(begin, static_cast<size_t>(ends_[i] - begin));
      // Nearly always the first place; and only a short id's key says everything.
      const bool there = table_.keys_[place] == keys_[i] && name.size() <= kShort;
      numbers[i] = there ? table_.numbers_[place] : table_.find(keys_[i], name);
      begin = ends_[i] + 1;
    }
    return begin;
  }

 private:
  static Key key_at(const char* id, size_t size, const char* text_end) {
    if (size > kShort || text_end - id < 16) return key_of({id, size});
    // The usual case: two words at once, where the bytes behind the id can be read too.
    const auto& kept = kKept[size];
    return {word(id) & kept[0], (word(id + 8) & kept[1]) | (size + 1) << 56};
  }

  const IdTable& table_;
  std::array<const char*, kBytes + kBlock> ends_;
  std::array<Key, kBytes + 1> keys_;
  std::array<size_t, kBytes + 1> places_;
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
