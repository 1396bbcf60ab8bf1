#include "capture/retrieval/id_table.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
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

/// Bit i is set when bytes[i] is a comma.
uint64_t commas(const char* bytes) {
  uint64_t bits = 0;
#ifdef __SSE2__
  for (size_t i = 0; i < kBlock; i += 16) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i));
    const int equal = _mm_movemask_epi8(_mm_cmpeq_epi8(sixteen, _mm_set1_epi8(',')));
    bits |= static_cast<uint64_t>(static_cast<uint32_t>(equal)) << i;
  }
#else
  for (size_t i = 0; i < kBlock; ++i) bits |= uint64_t{bytes[i] == ','} << i;
#endif
  return bits;
}

}  // namespace

IdTable::Key IdTable::key_of(std::string_view id) {
  const uint64_t tag = (id.size() <= kShort ? id.size() + 1 : 0xFF) << 56;
  if (id.size() > kShort) return {checksum(id), tag | (id.size() & 0xFFFFFFFF)};
  char bytes[16] = {};
  std::memcpy(bytes, id.data(), id.size());
  return {word(bytes), word(bytes + 8) | tag};
}

int32_t IdTable::find(Key key, std::string_view id) const {
  const size_t last = keys_.size() - 1;
  for (size_t place = place_of(key);; place = (place + 1) & last) {
    if (keys_[place] == key && (id.size() <= kShort || this->id(numbers_[place]) == id)) {
      return numbers_[place];
    }
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

/// Ids that are looked up together: while one is on its way from memory, others are asked for.
class IdTable::Batch {
 public:
  Batch(const IdTable& table, std::vector<int32_t>& numbers) : table_(table), numbers_(numbers) {}

  void add(Key key, const char* id, size_t size) {
    const size_t place = table_.place_of(key);
    __builtin_prefetch(&table_.keys_[place]);
    __builtin_prefetch(&table_.numbers_[place]);
    keys_[count_] = key;
    places_[count_] = place;
    ids_[count_] = {id, size};
    if (++count_ == kSize) look_up();
  }

  void look_up() {
    const Key* const keys = table_.keys_.data();
    const int32_t* const known = table_.numbers_.data();
    const size_t last = table_.keys_.size() - 1;
    if (numbers_.size() - done_ < kSize) numbers_.resize(2 * numbers_.size() + kSize);
    int32_t* const found = numbers_.data() + done_;
    for (size_t i = 0; i < count_; ++i) {
      const size_t place = places_[i];
      const size_t after = (place + 1) & last;
      // Nearly always one of the first two places, but which of them cannot be guessed: both are looked at. Only a short
      // id's key says everything.
      const bool first = keys[place] == keys_[i], second = keys[after] == keys_[i];
      const bool there = (first | second) & (ids_[i].size() <= kShort);
      found[i] = there ? known[first ? place : after] : table_.find(keys_[i], ids_[i]);
    }
    done_ += count_;
    count_ = 0;
  }

  std::span<const int32_t> finish() {
    look_up();
    return std::span(numbers_).first(done_);
  }

 private:
  static constexpr size_t kSize = 64;

  const IdTable& table_;
  std::vector<int32_t>& numbers_;
  size_t done_ = 0;
  std::array<Key, kSize> keys_;
  std::array<size_t, kSize> places_;
  std::array<std::string_view, kSize> ids_;
  size_t count_ = 0;
};

std::span<const int32_t> IdTable::find_all(std::string_view text, size_t most, std::vector<int32_t>& scratch) const {
  Batch batch(*this, scratch);
  const char *id = text.data(), *const end = id + text.size();
  const auto ask = [&](const char* comma) {
    const auto size = static_cast<size_t>(comma - id);
    if (size <= kShort && end - id >= 16) {
      // The usual case: two words at once, where the bytes behind the id can be read too.
      const auto& kept = kKept[size];
      batch.add({word(id) & kept[0], (word(id + 8) & kept[1]) | (size + 1) << 56}, id, size);
    } else {
      batch.add(key_of({id, size}), id, size);
    }
    id = comma + 1;
    --most;
  };
  const char* block = text.data();
  for (; most > 0 && end - block >= static_cast<std::ptrdiff_t>(kBlock); block += kBlock) {
    for (uint64_t bits = commas(block); bits != 0 && most > 0; bits &= bits - 1) ask(block + std::countr_zero(bits));
  }
  for (; most > 0 && block != end; ++block) {
    if (*block == ',') ask(block);
  }
  if (most > 0) ask(end);
  return batch.finish();
}

}  // namespace capture
