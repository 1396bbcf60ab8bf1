#include "model_check.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace capture {

namespace {

// Field numbers of sentencepiece's ModelProto and NormalizerSpec.
constexpr uint64_t kNormalizer = 3;
constexpr uint64_t kDenormalizer = 5;
constexpr uint64_t kReplacements = 2;

/// Calls visit(field number, contents) for each length-delimited field of a protobuf message, passing over numbers.
/// False when the bytes are no message, or when visit says so.
template <class Visit>
bool for_each_field(std::string_view message, const Visit& visit) {
  const auto number = [&](uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && !message.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(message.front());
      message.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  };
  const auto skip = [&](size_t bytes) {
    if (message.size() < bytes) return false;
    message.remove_prefix(bytes);
    return true;
  };
  while (!message.empty()) {
    uint64_t tag;
    uint64_t length;
    if (!number(tag) || tag > UINT32_MAX) return false;
    switch (tag & 7) {
      case 0:
        if (!number(length)) return false;
        break;
      case 1:
        if (!skip(8)) return false;
        break;
      case 2:
        if (!number(length) || length > message.size()) return false;
        if (!visit(tag >> 3, message.substr(0, length))) return false;
        message.remove_prefix(length);
        break;
      case 5:
        if (!skip(4)) return false;
        break;
      default:
        return false;  // groups: no model holds them
    }
  }
  return true;
}

/// A trie in darts-clone's format: units of 32 bits, a child's place the exclusive or of its parent's and a label.
class Table {
 public:
  Table(std::string_view trie, size_t text_bytes) : units_(trie.size() / 4), text_bytes_(text_bytes) {
    std::memcpy(units_.data(), trie.data(), units_.size() * 4);
    matches_.assign(units_.size(), kUnseen);
  }

  bool is_safe() { return !units_.empty() && visit(offset(units_[0]), 0) <= kMaxMatches; }

 private:
  static constexpr int kUnseen = -1;
  static constexpr int kMaxMatches = 32;  // as many as sentencepiece has room for on its way down
  static constexpr int kUnsafe = 1 << 20;
  static constexpr int kMaxDepth = 512;  // bytes in the longest key, far above any real one

  static uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
  static uint32_t label(uint32_t unit) { return unit & (1u << 31 | 0xFF); }
  static bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
  static uint32_t leaf_value(uint32_t unit) { return unit & ~(1u << 31); }

  /// The most matches that a walk from here on can meet, or kUnsafe. Nodes may be shared: each is looked into once. A
  /// circle is found by its depth.
  int visit(uint32_t node, int depth) {
    if (depth > kMaxDepth || (node | 0xFF) >= units_.size()) return kUnsafe;
    if (matches_[node] != kUnseen) return matches_[node];
    int most = 0;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t at = node ^ byte;
      const uint32_t unit = units_[at];
      if (label(unit) != byte) continue;
      const uint32_t child = at ^ offset(unit);
      int here = visit(child, depth + 1);
      if (has_leaf(unit) && here != kUnsafe) {
        here = leaf_value(units_[child]) < text_bytes_ ? here + 1 : kUnsafe;
      }
      most = std::max(most, here);
      if (most >= kUnsafe) break;
    }
    return matches_[node] = most;
  }

  std::vector<uint32_t> units_;
  size_t text_bytes_;
  std::vector<int> matches_;
};

/// The table as stored: the trie's size in 4 bytes, the trie, then texts that each end in NUL.
bool is_safe_table(std::string_view table) {
  if (table.empty()) return true;
  uint32_t trie_bytes;
  if (table.size() <= sizeof trie_bytes) return false;
  std::memcpy(&trie_bytes, table.data(), sizeof trie_bytes);
  table.remove_prefix(sizeof trie_bytes);
  if (trie_bytes >= table.size() || trie_bytes % 4 != 0 || table.back() != '\0') return false;
  return Table(table.substr(0, trie_bytes), table.size() - trie_bytes).is_safe();
}

}  // namespace

bool has_safe_tables(std::string_view model) {
  return for_each_field(model, [](uint64_t field, std::string_view part) {
    if (field != kNormalizer && field != kDenormalizer) return true;
    return for_each_field(
        part, [](uint64_t inner, std::string_view bytes) { return inner != kReplacements || is_safe_table(bytes); });
  });
}

}  // namespace capture
