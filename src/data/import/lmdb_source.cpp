#include <lmdb.h>

#include <utility>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "msgpack.h"
#include "row_source.h"

namespace capture {

namespace {

constexpr size_t kPieceBytes = size_t{8} << 20;
constexpr const char* kConvert = "tools/convert_pyarrow_lmdb.py makes one with msgpack from it";

std::string_view to_view(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

std::span<const std::byte> to_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// What tensorpack stores beside the records.
bool is_note(std::string_view key) {
  return key == "__keys__" || key == "__len__";
}

/// The environment with one read transaction, through which everything is seen.
class Database {
 public:
  explicit Database(const std::filesystem::path& path) : path_(path) {
    const bool folder = std::filesystem::is_directory(path);
    file_ = folder ? path / "data.mdb" : path;
    require(::mdb_env_create(&environment_), "open");
    // Without a lock file: the folder may be one that cannot be written to, and nobody writes to the database.
    const unsigned flags = MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS | (folder ? 0U : MDB_NOSUBDIR);
    require(::mdb_env_open(environment_, path.c_str(), flags, 0644), "open");
    check_length();
    require(::mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction_), "read");
    require(::mdb_dbi_open(transaction_, nullptr, 0, &table_), "read");
    require(::mdb_cursor_open(transaction_, table_, &cursor_), "read");
  }
  ~Database() {
    if (cursor_ != nullptr) ::mdb_cursor_close(cursor_);
    if (transaction_ != nullptr) ::mdb_txn_abort(transaction_);
    ::mdb_env_close(environment_);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::filesystem::path& file() const { return file_; }

  int64_t entries() const {
    MDB_stat status{};
    require(::mdb_stat(transaction_, table_, &status), "read");
    return static_cast<int64_t>(status.ms_entries);
  }

  std::optional<std::string_view> find(std::string_view key) const {
    MDB_val name{key.size(), const_cast<char*>(key.data())};
    MDB_val value{};
    const int code = ::mdb_get(transaction_, table_, &name, &value);
    if (code == MDB_NOTFOUND) return {};
    require(code, "read");
    return to_view(value);
  }

  /// Moves the cursor. False at the end.
  bool move(MDB_cursor_op operation, std::string_view& key, std::string_view& value) {
    MDB_val name{key.size(), const_cast<char*>(key.data())};
    MDB_val content{};
    const int code = ::mdb_cursor_get(cursor_, &name, &content, operation);
    if (code == MDB_NOTFOUND) return false;
    require(code, "read");
    key = to_view(name);
    value = to_view(content);
    return true;
  }

 private:
  void require(int code, const char* doing) const {
    if (code == MDB_SUCCESS) return;
    const bool foreign = code == MDB_INVALID || code == MDB_VERSION_MISMATCH;
    throw UserError({.what = foreign ? std::string("is no LMDB database")
                                     : std::string("cannot ") + doing + " the database: " + ::mdb_strerror(code),
                     .where = path_.string(),
                     .allowed = foreign ? "an .lmdb or .mdb file, or a folder with data.mdb in it" : ""});
  }

  /// A page that the file does not have would end the process when it is looked at.
  void check_length() const {
    MDB_envinfo info{};
    MDB_stat status{};
    require(::mdb_env_info(environment_, &info), "read");
    require(::mdb_env_stat(environment_, &status), "read");
    const auto bytes = std::filesystem::file_size(file_);
    const uint64_t pages = bytes / status.ms_psize;
    if (info.me_last_pgno < pages) return;
    throw UserError({.what = "is cut short: it has " + std::to_string(pages) + " pages, its header says " +
                             std::to_string(info.me_last_pgno + 1),
                     .where = file_.string(),
                     .hint = "fetch it again; if it is whole, mdb_copy -c makes a copy that can be read"});
  }

  std::filesystem::path path_;
  std::filesystem::path file_;
  MDB_env* environment_ = nullptr;
  MDB_txn* transaction_ = nullptr;
  MDB_cursor* cursor_ = nullptr;
  MDB_dbi table_ = 0;
};

class LmdbSource final : public RowSource {
 public:
  explicit LmdbSource(const std::filesystem::path& path) : path_(path), database_(path) {
    rows_ = database_.entries();
    for (const char* note : {"__keys__", "__len__"}) rows_ -= database_.find(note).has_value() ? 1 : 0;
    std::string_view key;
    std::string_view value;
    bool found = database_.move(MDB_FIRST, key, value);
    while (found && is_note(key)) found = database_.move(MDB_NEXT, key, value);
    if (!found) throw UserError({.what = "holds no records", .where = path.string()});
    if (is_pyarrow(to_bytes(value))) {
      throw UserError({.what = "its values were written by pyarrow, in a format that pyarrow itself gave up",
                       .where = path.string(),
                       .allowed = "values of msgpack and msgpack-numpy, as tensorpack's LMDBSerializer writes them",
                       .hint = kConvert});
    }
    check_notes();
  }

  std::optional<Piece> next() override {
    std::vector<std::pair<std::string_view, std::string_view>> records;
    std::string_view key;
    std::string_view value;
    for (size_t bytes = 0; bytes < kPieceBytes && database_.move(operation_, key, value);) {
      operation_ = MDB_NEXT;
      if (is_note(key)) continue;
      records.emplace_back(key, value);
      bytes += value.size();
    }
    if (records.empty()) return {};
    // Keys and values stay where they are as long as the read transaction does.
    return [records = std::move(records)](std::string&, const VisitRow& visit) {
      for (const auto& [name, content] : records) visit({.bytes = content, .key = name});
    };
  }

  void parse(const RawRow& row, const RowRules& rules, Sample& sample) const override {
    parse_lmdb_value(to_bytes(row.bytes), rules, sample);
  }

  std::string id_of(const RawRow& row) const override {
    try {
      return lmdb_value_id(to_bytes(row.bytes));
    } catch (const UserError&) {
      return {};
    }
  }

  RawRow read_again(const RawRow& row, std::string&) const override { return row; }

  // Keys may be any bytes; hexadecimal digits keep them whole in JSON.
  Json position(const RawRow& row) const override {
    std::string text;
    for (const unsigned char c : row.key) {
      text += "0123456789abcdef"[c >> 4];
      text += "0123456789abcdef"[c & 15];
    }
    return text;
  }
  void start_behind(const Json& position) override {
    operation_ = MDB_FIRST;
    if (position.is_null()) return;
    std::string wanted;
    const std::string text = position.is_string() ? position.get<std::string>() : "";
    for (size_t i = 0; i + 2 <= text.size(); i += 2) {
      wanted += static_cast<char>(std::strtol(text.substr(i, 2).c_str(), nullptr, 16));
    }
    std::string_view key = wanted;
    std::string_view value;
    if (wanted.empty() || !database_.move(MDB_SET_KEY, key, value)) {
      throw UserError({.what = "has no key " + text + " to go on behind", .where = path_.string()});
    }
    operation_ = MDB_NEXT;
  }

  Json place(const RawRow& row, int64_t) const override { return {{"key", std::string(row.key)}}; }
  int64_t total() const override { return rows_; }
  const char* unit() const override { return "rows"; }
  int64_t done(const RawRow&, int64_t number) const override { return number; }
  Json identity() const override { return file_identity(database_.file()); }

 private:
  /// tensorpack notes how many records it meant to write.
  void check_notes() const {
    for (const char* note : {"__keys__", "__len__"}) {
      const auto value = database_.find(note);
      if (!value) continue;
      try {
        MsgpackReader reader(to_bytes(*value));
        const auto read = reader.next();
        const bool list = read.kind == MsgpackReader::Kind::array;
        if (!list && read.kind != MsgpackReader::Kind::integer) continue;
        const int64_t promised = list ? static_cast<int64_t>(read.items) : read.integer;
        if (promised != rows_) {
          log::warn("{}: has {} records, its {} says {}", path_.string(), rows_, note, promised);
        }
      } catch (const UserError&) {
        log::warn("{}: its {} cannot be read and is passed over", path_.string(), note);
      }
    }
  }

  std::filesystem::path path_;
  Database database_;
  int64_t rows_ = 0;
  MDB_cursor_op operation_ = MDB_FIRST;
};

}  // namespace

std::unique_ptr<RowSource> open_lmdb(const std::filesystem::path& path) {
  return std::make_unique<LmdbSource>(path);
}

}  // namespace capture
