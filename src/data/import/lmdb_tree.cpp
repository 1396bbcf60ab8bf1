#include "lmdb_tree.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "capture/base/error.h"

namespace capture {

namespace {

constexpr uint32_t kMagic = 0xBEEFC0DE;
constexpr uint32_t kVersion = 1;
constexpr uint64_t kNoPage = ~uint64_t{0};
constexpr uint32_t kMostLevels = 32;

// A page begins with its number (8 bytes), 2 unused ones, its flags (2), and where its free space begins and ends (2
// each); an overflow page has its number of pages there instead. The offsets of its nodes follow, 2 bytes each.
constexpr size_t kPageHead = 16;
constexpr uint16_t kBranch = 1;
constexpr uint16_t kLeaf = 2;
constexpr uint16_t kOverflow = 4;
constexpr uint16_t kMetaPage = 8;
constexpr uint16_t kKinds = 0x6F;  // of the flags, those that say what a page is

// A node is the low and middle 16 bits of its size, or of the page it leads to, its flags (in a branch: the high bits
// of that page), the length of its key, 2 bytes each, then key and value.
constexpr size_t kNodeHead = 8;
constexpr uint16_t kOnOverflow = 1;

// Where things stand in a meta page, behind the page's head.
constexpr size_t kPageSizeAt = 24;
constexpr size_t kFlagsAt = 76;
constexpr size_t kDepthAt = 78;
constexpr size_t kEntriesAt = 104;
constexpr size_t kRootAt = 112;
constexpr size_t kLastPageAt = 120;
constexpr size_t kTransactionAt = 128;
constexpr size_t kMetaBytes = 136;

/// The caller has made sure that it lies inside.
template <class T>
T read(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

struct LmdbTree::Meta {
  uint32_t page_bytes;
  uint16_t flags;
  uint16_t depth;
  uint64_t entries;
  uint64_t root;
  uint64_t last_page;
  uint64_t transaction;
};

/// A branch or leaf page whose head was checked.
struct LmdbTree::Page {
  uint64_t number;
  std::span<const std::byte> bytes;
  uint32_t nodes;

  /// The node's bytes, up to the end of the page; at least its head and key.
  std::optional<std::span<const std::byte>> node(uint32_t index) const {
    const size_t at = read<uint16_t>(bytes, kPageHead + 2 * size_t{index});
    if (at < kPageHead + 2 * size_t{nodes} || at + kNodeHead > bytes.size()) return {};
    const auto rest = bytes.subspan(at);
    if (kNodeHead + read<uint16_t>(rest, 6) > rest.size()) return {};
    return rest;
  }
};

std::optional<LmdbTree::Meta> LmdbTree::read_meta(size_t at) const {
  if (at + kPageHead + kMetaBytes > file_.size()) return {};
  const auto page = file_.subspan(at);
  const auto meta = page.subspan(kPageHead);
  const bool ours = (read<uint16_t>(page, 10) & kMetaPage) != 0 && read<uint32_t>(meta, 0) == kMagic &&
                    read<uint32_t>(meta, 4) == kVersion;
  if (!ours) return {};
  return Meta{.page_bytes = read<uint32_t>(meta, kPageSizeAt),
              .flags = read<uint16_t>(meta, kFlagsAt),
              .depth = read<uint16_t>(meta, kDepthAt),
              .entries = read<uint64_t>(meta, kEntriesAt),
              .root = read<uint64_t>(meta, kRootAt),
              .last_page = read<uint64_t>(meta, kLastPageAt),
              .transaction = read<uint64_t>(meta, kTransactionAt)};
}

LmdbTree::LmdbTree(std::span<const std::byte> file, std::string where) : file_(file), where_(std::move(where)) {
  const std::optional<Meta> first = read_meta(0);
  if (!first) {
    throw UserError({.what = "is no LMDB database",
                     .where = where_,
                     .allowed = "an .lmdb or .mdb file of LMDB 0.9, or a folder with data.mdb in it"});
  }
  page_bytes_ = first->page_bytes;
  if (!std::has_single_bit(page_bytes_) || page_bytes_ < 256 || page_bytes_ > 32768) fail(0, "has no size of pages");
  const std::optional<Meta> second = read_meta(page_bytes_);
  if (!second || second->page_bytes != page_bytes_) fail(1, "is no second meta page");
  // Each transaction writes the other page, so the two are of consecutive ones, the even one first.
  const uint64_t even = first->transaction;
  const uint64_t odd = second->transaction;
  const bool consecutive = even % 2 == 0 && (odd == even + 1 || odd + 1 == even || (even == 0 && odd == 0));
  if (!consecutive) fail(0, "and page 1 are of transactions that do not follow one another");
  const Meta& meta = even < odd ? *second : *first;

  pages_ = file_.size() / page_bytes_;
  if (meta.last_page >= pages_) {
    throw UserError({.what = "is cut short: it has " + std::to_string(pages_) + " pages, its header says " +
                             std::to_string(meta.last_page) + " or more",
                     .where = where_,
                     .hint = "fetch it again; if it is whole, mdb_copy -c makes a copy that can be read"});
  }
  if (meta.flags != 0) {
    throw UserError({.what = "is an LMDB database of another kind: its flags are " + std::to_string(meta.flags),
                     .where = where_,
                     .allowed = "one value a key, keys in the order of their bytes"});
  }
  if (meta.root == kNoPage) return;
  if (meta.depth < 1 || meta.depth > kMostLevels)
    fail(0, "says that the tree has " + std::to_string(meta.depth) + " levels");
  // A record takes a node's head and an offset at least.
  if (meta.entries > file_.size() / (kNodeHead + 2))
    fail(0, "says that there are " + std::to_string(meta.entries) + " records");
  root_ = meta.root;
  depth_ = meta.depth;
  entries_ = static_cast<int64_t>(meta.entries);
}

void LmdbTree::fail(uint64_t page, const std::string& what) const {
  throw UserError({.what = "is damaged: page " + std::to_string(page) + " " + what,
                   .where = where_,
                   .hint = "fetch the database again, or make it again"});
}

std::span<const std::byte> LmdbTree::bytes_of(uint64_t page) const {
  return file_.subspan(page * page_bytes_, page_bytes_);
}

LmdbTree::Page LmdbTree::tree_page(uint64_t number, bool leaf) const {
  if (number >= pages_) fail(number, "is not in the file, but in the tree");
  const auto bytes = bytes_of(number);
  const uint16_t kind = read<uint16_t>(bytes, 10) & kKinds;
  if (read<uint64_t>(bytes, 0) != number || kind != (leaf ? kLeaf : kBranch)) {
    fail(number, std::string("is no ") + (leaf ? "leaf" : "branch"));
  }
  const size_t lower = read<uint16_t>(bytes, 12);
  const size_t upper = read<uint16_t>(bytes, 14);
  if (lower < kPageHead + 2 || lower % 2 != 0 || lower > upper || upper > page_bytes_) fail(number, "has no node");
  return {number, bytes, static_cast<uint32_t>((lower - kPageHead) / 2)};
}

std::string_view LmdbTree::key_of(const Page& page, uint32_t index) const {
  const auto node = page.node(index);
  if (!node) fail(page.number, "has a key beyond its end");
  return text_of(node->subspan(kNodeHead, read<uint16_t>(*node, 6)));
}

uint64_t LmdbTree::child_of(const Page& page, uint32_t index) const {
  const auto node = page.node(index);
  if (!node) fail(page.number, "has a node beyond its end");
  return uint64_t{read<uint16_t>(*node, 0)} | uint64_t{read<uint16_t>(*node, 2)} << 16 |
         uint64_t{read<uint16_t>(*node, 4)} << 32;
}

LmdbRecord LmdbTree::record_of(const Page& page, uint32_t index) const {
  const std::string_view key = key_of(page, index);
  const auto node = *page.node(index);
  const uint64_t size = read<uint16_t>(node, 0) | uint64_t{read<uint16_t>(node, 2)} << 16;
  const uint16_t flags = read<uint16_t>(node, 4);
  if ((flags & ~kOnOverflow) != 0) fail(page.number, "holds something else than records: a database in the database");
  const auto rest = node.subspan(kNodeHead + key.size());
  if (flags == kOnOverflow) {
    if (rest.size() < sizeof(uint64_t)) fail(page.number, "has a value beyond its end");
    return {key, overflow(page.number, read<uint64_t>(rest, 0), size)};
  }
  if (size > rest.size()) fail(page.number, "has a value beyond its end");
  return {key, text_of(rest.first(size))};
}

/// A value that has pages of its own.
std::string_view LmdbTree::overflow(uint64_t from, uint64_t number, uint64_t size) const {
  if (number >= pages_) fail(from, "has a value on page " + std::to_string(number) + ", which is not in the file");
  const auto head = bytes_of(number);
  const uint64_t count = read<uint32_t>(head, 12);
  if (read<uint64_t>(head, 0) != number || (read<uint16_t>(head, 10) & kKinds) != kOverflow) {
    fail(number, "is not the value that page " + std::to_string(from) + " says it is");
  }
  // Sizes have 32 bits and counts are at most the file's, so that no sum overflows.
  if (count > pages_ - number || kPageHead + size > count * page_bytes_) fail(number, "has fewer bytes than its value");
  return text_of(file_.subspan(number * page_bytes_ + kPageHead, size));
}

/// From `page` down to a leaf: to the record of `key` or else the next one, or to the first one without a key. The
/// index on the leaf may lie behind its last node.
void LmdbTree::Cursor::descend(uint64_t page, const std::string_view* key) {
  for (;;) {
    const bool leaf = path_.size() + 1 == tree_->depth_;
    const Page at = tree_->tree_page(page, leaf);
    uint32_t index = 0;
    if (key != nullptr) {
      // A branch's first node has no key of its own: it leads to whatever comes before the second.
      uint32_t low = leaf ? 0 : 1;
      for (uint32_t high = at.nodes; low < high;) {
        const uint32_t middle = low + (high - low) / 2;
        const std::string_view there = tree_->key_of(at, middle);
        (leaf ? there < *key : there <= *key) ? low = middle + 1 : high = middle;
      }
      index = leaf ? low : low - 1;
    }
    path_.push_back({page, index});
    if (leaf) return;
    page = tree_->child_of(at, index);
  }
}

/// To the next record. False behind the last one.
bool LmdbTree::Cursor::step() {
  if (!started_) {
    started_ = true;
    if (tree_->depth_ == 0) return false;
    descend(tree_->root_, nullptr);
    return true;
  }
  while (!path_.empty()) {
    Place& place = path_.back();
    const bool leaf = path_.size() == tree_->depth_;
    const Page page = tree_->tree_page(place.page, leaf);
    if (++place.index < page.nodes) {
      if (!leaf) descend(tree_->child_of(page, place.index), nullptr);
      return true;
    }
    path_.pop_back();
  }
  return false;
}

std::optional<LmdbRecord> LmdbTree::Cursor::next() {
  const bool first = !started_;
  if (!step()) {
    if (counts_ && seen_ != tree_->entries_) {
      tree_->fail(0, "says that there are " + std::to_string(tree_->entries_) + " records, but there are " +
                         std::to_string(seen_));
    }
    return {};
  }
  const Place at = path_.back();
  const LmdbRecord record = tree_->record_of(tree_->tree_page(at.page, true), at.index);
  // This also ends the way through a tree whose branches lead back into it.
  if (!first && record.key <= last_key_) tree_->fail(at.page, "has a key that does not follow the one before");
  last_key_ = record.key;
  ++seen_;
  return record;
}

bool LmdbTree::Cursor::move_to(std::string_view key) {
  path_.clear();
  started_ = false;
  counts_ = true;
  seen_ = 0;
  if (tree_->depth_ == 0) return false;
  descend(tree_->root_, &key);
  const Place at = path_.back();
  const Page leaf = tree_->tree_page(at.page, true);
  if (at.index >= leaf.nodes || tree_->key_of(leaf, at.index) != key) {
    path_.clear();
    return false;
  }
  started_ = true;
  counts_ = false;
  last_key_ = tree_->key_of(leaf, at.index);
  return true;
}

std::optional<LmdbRecord> LmdbTree::find(std::string_view key) const {
  Cursor cursor(*this);
  if (!cursor.move_to(key)) return {};
  const Cursor::Place at = cursor.path_.back();
  return record_of(tree_page(at.page, true), at.index);
}

}  // namespace capture
