// Databases that liblmdb wrote, read by our own reader: whole, and with bytes of every kind changed.
#include "../../src/data/import/lmdb_tree.h"

#include <lmdb.h>

#include <map>
#include <set>

#include "support.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

using Records = std::map<std::string, std::string>;

std::string numbered(int64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(8 - digits.size(), '0') + digits;
}

void require(int code) {
  if (code != MDB_SUCCESS) throw std::runtime_error(::mdb_strerror(code));
}

/// The bytes of a database with these records, put in an order of their own and a transaction every 97, some of what
/// was put deleted again, so that pages split, merge and are used anew.
std::string database(const Records& records, unsigned flags = 0) {
  const TemporaryFolder folder;
  const std::string path = (folder / "made.lmdb").string();
  MDB_env* environment = nullptr;
  require(::mdb_env_create(&environment));
  require(::mdb_env_set_mapsize(environment, size_t{1} << 28));
  require(::mdb_env_open(environment, path.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0644));
  const auto value_of = [](const std::string& text) { return MDB_val{text.size(), const_cast<char*>(text.data())}; };
  std::vector<std::pair<std::string, std::string>> all(records.begin(), records.end());
  RandomStream random(1, 0, all.size());
  for (size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random.below(static_cast<uint32_t>(i))]);
  for (size_t begin = 0; begin <= all.size(); begin += 97) {
    MDB_txn* transaction = nullptr;
    MDB_dbi table = 0;
    require(::mdb_txn_begin(environment, nullptr, 0, &transaction));
    require(::mdb_dbi_open(transaction, nullptr, flags, &table));
    for (size_t i = begin; i < std::min(begin + 97, all.size()); ++i) {
      for (const std::string& name : {all[i].first, all[i].first + " again"}) {
        MDB_val key = value_of(name);
        MDB_val value = value_of(all[i].second);
        require(::mdb_put(transaction, table, &key, &value, 0));
        if (name != all[i].first) require(::mdb_del(transaction, table, &key, nullptr));
      }
    }
    require(::mdb_txn_commit(transaction));
  }
  ::mdb_env_close(environment);
  return read_file(path);
}

LmdbTree tree_of(const std::string& bytes) {
  return {std::as_bytes(std::span(bytes)), "made.lmdb"};
}

Records read_all(const std::string& bytes) {
  const LmdbTree tree = tree_of(bytes);
  LmdbTree::Cursor cursor(tree);
  Records records;
  while (const auto record = cursor.next()) records.emplace(record->key, record->value);
  return records;
}

/// Values of all lengths around those at which they get pages of their own.
Records mixed_records(int64_t count, uint32_t longest, uint64_t seed = 3) {
  RandomStream random(seed, 0, 0);
  Records records;
  for (int64_t i = 0; i < count; ++i) {
    std::string value(random.below(longest), '\0');
    for (char& letter : value) letter = static_cast<char>(random.below(256));
    records.emplace(numbered(i), value);
  }
  records.emplace("__len__", "\x05");
  return records;
}

TEST(LmdbTree, ReadsWhatLiblmdbWrote) {
  // One leaf, a few levels of short values, and values with pages of their own.
  for (const Records& records : {Records{{"a", ""}}, mixed_records(3, 40), mixed_records(5000, 60),
                                 mixed_records(300, 9000), mixed_records(40, 300000)}) {
    const std::string bytes = database(records);
    EXPECT_EQ(read_all(bytes), records);
    const LmdbTree tree = tree_of(bytes);
    EXPECT_EQ(tree.entries(), std::ssize(records));
    for (const auto& [key, value] : records) {
      const auto found = tree.find(key);
      ASSERT_TRUE(found) << key;
      EXPECT_EQ(found->value, value);
      EXPECT_FALSE(tree.find(key + "x"));
    }
    EXPECT_FALSE(tree.find(""));
  }
  EXPECT_EQ(read_all(database({})), Records{});
  EXPECT_FALSE(tree_of(database({})).find("a"));
}

TEST(LmdbTree, GoesOnBehindAKey) {
  const Records records = mixed_records(2000, 30);
  const std::string bytes = database(records);
  const LmdbTree tree = tree_of(bytes);
  for (auto at = records.begin(); at != records.end(); std::advance(at, 1)) {
    LmdbTree::Cursor cursor(tree);
    ASSERT_TRUE(cursor.move_to(at->first));
    const auto record = cursor.next();
    const auto following = std::next(at);
    ASSERT_EQ(record.has_value(), following != records.end());
    if (record) {
      EXPECT_EQ(record->key, following->first);
    }
  }
  LmdbTree::Cursor cursor(tree);
  EXPECT_FALSE(cursor.move_to("nobody"));
  EXPECT_EQ(cursor.next()->key, numbered(0));
}

TEST(LmdbTree, AnyDamagedByteIsRefusedOrOnlyChangesARecord) {
  // Nothing may be read outside the file, whatever a number in it says; the sanitizers watch.
  RandomStream random(5, 0, 0);
  int64_t refused = 0;
  int64_t same = 0;
  for (const Records& records : {mixed_records(600, 60), mixed_records(60, 9000)}) {
    const std::string whole = database(records);
    constexpr size_t kPage = 4096;
    for (int64_t round = 0; round < 6000; ++round) {
      std::string bytes = whole;
      // Mostly where pages keep their numbers, which is at their beginnings and, of nodes, anywhere.
      const size_t page = random.below(static_cast<uint32_t>(bytes.size() / kPage));
      const size_t at = page * kPage + random.below(round % 3 == 0 ? kPage : 160);
      const auto change = static_cast<char>(round % 2 == 0 ? 1 << random.below(8) : 1 + random.below(255));
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      try {
        const Records found = read_all(bytes);
        same += found == records ? 1 : 0;
        // A number of a transaction can become one that makes the state before it the current one.
        const bool transaction = page < 2 && at % kPage / 8 == 144 / 8;
        EXPECT_TRUE(found.size() == records.size() || transaction) << at;
        tree_of(bytes).find(numbered(17));
      } catch (const UserError& error) {
        EXPECT_THAT(error.what(), HasSubstr("made.lmdb"));
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(same, 1000);  // free pages, and bytes between nodes
}

TEST(LmdbTree, ManyDamagedBytesAtOnceAreNoWorse) {
  const std::string whole = database(mixed_records(400, 3000));
  RandomStream random(6, 0, 0);
  int64_t refused = 0;
  for (int64_t round = 0; round < 3000; ++round) {
    std::string bytes = whole;
    for (uint32_t left = 1 + random.below(200); left > 0; --left) {
      bytes[random.below(static_cast<uint32_t>(bytes.size()))] = static_cast<char>(random.below(256));
    }
    const std::string error = error_of([&] { read_all(bytes); });
    if (error.empty()) continue;
    EXPECT_THAT(error, HasSubstr("made.lmdb"));
    ++refused;
  }
  EXPECT_GT(refused, 1000);
}

TEST(LmdbTree, RefusesAFileThatIsCutAnywhere) {
  const std::string whole = database(mixed_records(100, 2000));
  const Records records = read_all(whole);
  for (size_t length = 0; length < whole.size(); length += length < 600 ? 1 : 509) {
    Records found;
    const std::string error = error_of([&] { found = read_all(whole.substr(0, length)); });
    if (error.empty()) {
      EXPECT_EQ(found, records) << length;  // the pages at the end were free
    }
  }
  EXPECT_THAT(error_of([&] { read_all(whole.substr(0, whole.size() / 2)); }), HasSubstr("is cut short"));
}

TEST(LmdbTree, RefusesOtherKindsOfDatabase) {
  const Records records = mixed_records(10, 20);
  EXPECT_THAT(error_of([&] { read_all(database(records, MDB_DUPSORT)); }),
              HasSubstr("of another kind: its flags are 4"));
  EXPECT_THAT(error_of([&] { read_all(database(records, MDB_REVERSEKEY)); }), HasSubstr("of another kind"));
  EXPECT_THAT(error_of([&] { read_all(std::string(9000, 'x')); }), HasSubstr("is no LMDB database"));
  EXPECT_THAT(error_of([&] { read_all(""); }), HasSubstr("is no LMDB database"));
}

TEST(LmdbTree, ABranchThatLeadsBackEnds) {
  // Every child of the root is made its first: without a look at the keys, reading would repeat the first leaf.
  const std::string whole = database(mixed_records(3000, 60));
  std::set<std::string> errors;
  for (size_t page = 2; page < whole.size() / 4096; ++page) {
    std::string bytes = whole;
    char* const at = bytes.data() + page * 4096;
    uint16_t lower = 0;
    std::memcpy(&lower, at + 12, sizeof lower);
    if (at[10] != 1 || lower <= 18) continue;  // a branch
    uint16_t first = 0;
    std::memcpy(&first, at + 16, sizeof first);
    for (uint16_t slot = 18; slot < lower; slot += 2) {
      uint16_t node = 0;
      std::memcpy(&node, at + slot, sizeof node);
      std::memcpy(at + node, at + first, 6);
    }
    errors.insert(error_of([&] { read_all(bytes); }));
  }
  EXPECT_THAT(errors, testing::Contains(HasSubstr("does not follow the one before")));
}

}  // namespace
}  // namespace capture
