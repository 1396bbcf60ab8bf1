// The records of an LMDB file, read in place without liblmdb, which trusts every number in the file: a flipped bit can
// lead it outside its map and end the process. Here each one is held against the file before it is followed.
//
// The format is that of LMDB 0.9 on 64-bit little-endian machines: two meta pages, of which the one of the later
// transaction counts, and a B+ tree of branch, leaf and overflow pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace capture {

struct LmdbRecord {
  std::string_view key;
  std::string_view value;
};

class LmdbTree {
 public:
  /// `file` is the whole file and must outlive what is read from it; `where` names it in errors. UserError when it is
  /// no LMDB, of another version, cut short, or a database of another kind (duplicates, keys of another order).
  LmdbTree(std::span<const std::byte> file, std::string where);

  /// Records, as the file says.
  int64_t entries() const { return entries_; }

  /// The record of a key. UserError when the way there is damaged.
  std::optional<LmdbRecord> find(std::string_view key) const;

  /// Goes through the records in the order of their keys.
  class Cursor {
   public:
    /// Stands before the first record.
    explicit Cursor(const LmdbTree& tree) : tree_(&tree) {}

    /// The next record; nothing at the end. UserError when a page is damaged, a key does not follow the one before, or
    /// the records end before there were as many as the file says.
    std::optional<LmdbRecord> next();

    /// Goes to the record of a key, so that next() gives what follows it. False, and before the first record again,
    /// when there is none.
    bool move_to(std::string_view key);

   private:
    friend class LmdbTree;
    struct Place {
      uint64_t page;
      uint32_t index;
    };
    void descend(uint64_t page, const std::string_view* key);
    bool step();

    const LmdbTree* tree_;
    std::vector<Place> path_;  // from the root to a leaf; empty: before the first record
    bool started_ = false;
    bool counts_ = true;  // whether every record from the first on was seen
    int64_t seen_ = 0;
    std::string_view last_key_;
  };

 private:
  struct Page;
  struct Meta;
  [[noreturn]] void fail(uint64_t page, const std::string& what) const;
  std::span<const std::byte> bytes_of(uint64_t page) const;
  std::optional<Meta> read_meta(size_t at) const;
  Page tree_page(uint64_t number, bool leaf) const;
  std::string_view key_of(const Page& page, uint32_t index) const;
  uint64_t child_of(const Page& page, uint32_t index) const;
  LmdbRecord record_of(const Page& page, uint32_t index) const;
  std::string_view overflow(uint64_t from, uint64_t number, uint64_t size) const;

  std::span<const std::byte> file_;
  std::string where_;
  uint64_t page_bytes_ = 0;
  uint64_t pages_ = 0;
  uint64_t root_ = 0;
  uint32_t depth_ = 0;  // levels of the tree; 0: it is empty
  int64_t entries_ = 0;
};

}  // namespace capture
