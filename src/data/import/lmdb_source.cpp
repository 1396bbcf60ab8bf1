#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "lmdb_tree.h"
#include "msgpack.h"
#include "row_source.h"

namespace capture {

namespace {

constexpr size_t kPieceBytes = size_t{8} << 20;
constexpr const char* kConvert = "tools/convert_pyarrow_lmdb.py makes one with msgpack from it";

std::span<const std::byte> to_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// What tensorpack stores beside the records.
bool is_note(std::string_view key) {
  return key == "__keys__" || key == "__len__";
}

std::filesystem::path file_of(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? path / "data.mdb" : path;
}

class LmdbSource final : public RowSource {
 public:
  explicit LmdbSource(const std::filesystem::path& path)
      : path_(path), map_(file_of(path)), tree_(map_.bytes(), path.string()), cursor_(tree_) {
    rows_ = tree_.entries();
    for (const char* note : {"__keys__", "__len__"}) rows_ -= tree_.find(note).has_value() ? 1 : 0;
    std::optional<LmdbRecord> record = cursor_.next();
    while (record && is_note(record->key)) record = cursor_.next();
    if (!record) throw UserError({.what = "holds no records", .where = path.string()});
    cursor_ = LmdbTree::Cursor(tree_);
    if (is_pyarrow(to_bytes(record->value))) {
      throw UserError({.what = "its values were written by pyarrow, in a format that pyarrow itself gave up",
                       .where = path.string(),
                       .allowed = "values of msgpack and msgpack-numpy, as tensorpack's LMDBSerializer writes them",
                       .hint = kConvert});
    }
    check_notes();
  }

  std::optional<Piece> next() override {
    std::vector<LmdbRecord> records;
    size_t total = 0;
    while (total < kPieceBytes) {
      const auto record = cursor_.next();
      if (!record) break;
      if (is_note(record->key)) continue;
      records.push_back(*record);
      total += record->value.size();
    }
    if (records.empty()) return {};
    read_ahead(records, total);
    // Keys and values stay where they are as long as the map does.
    return [records = std::move(records)](std::string&, const VisitRow& visit) {
      for (const auto& [key, value] : records) visit({.bytes = value, .key = key});
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
    cursor_ = LmdbTree::Cursor(tree_);
    if (position.is_null()) return;
    std::string wanted;
    const std::string text = position.is_string() ? position.get<std::string>() : "";
    for (size_t i = 0; i + 2 <= text.size(); i += 2) {
      wanted += static_cast<char>(std::strtol(text.substr(i, 2).c_str(), nullptr, 16));
    }
    if (wanted.empty() || !cursor_.move_to(wanted)) {
      throw UserError({.what = "has no key " + text + " to go on behind", .where = path_.string()});
    }
  }

  Json place(const RawRow& row, int64_t) const override { return {{"key", std::string(row.key)}}; }
  int64_t total() const override { return rows_; }
  const char* unit() const override { return "rows"; }
  int64_t done(const RawRow&, int64_t number) const override { return number; }
  Json identity() const override { return file_identity(file_of(path_)); }

 private:
  /// Asks for records that lie close together in the file, as those of a database that was filled in the order of its
  /// keys do: otherwise a cold file would be read page by page, as workers come across them.
  void read_ahead(const std::vector<LmdbRecord>& records, size_t bytes) const {
    const auto [first, last] =
        std::ranges::minmax(records, {}, [](const LmdbRecord& record) { return record.value.data(); });
    const auto begin = static_cast<size_t>(first.value.data() - reinterpret_cast<const char*>(map_.bytes().data()));
    const auto length = static_cast<size_t>(last.value.data() + last.value.size() - first.value.data());
    if (length <= 2 * bytes) map_.prefetch(begin, length);
  }

  /// tensorpack notes how many records it meant to write.
  void check_notes() const {
    for (const char* note : {"__keys__", "__len__"}) {
      const auto found = tree_.find(note);
      if (!found) continue;
      try {
        MsgpackReader reader(to_bytes(found->value));
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
  MappedFile map_;
  LmdbTree tree_;
  LmdbTree::Cursor cursor_;
  int64_t rows_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> open_lmdb(const std::filesystem::path& path) {
  return std::make_unique<LmdbSource>(path);
}

}  // namespace capture
