// Where rows come from: a file cut into pieces that any thread can read, in an order that does not depend on the cuts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "capture/base/json.h"
#include "capture/data/import/row.h"

namespace capture {

/// A row as it stands in its file. Views are good while the row is visited.
struct RawRow {
  std::string_view bytes = {};
  std::string_view key = {};  ///< of a database; lines have none
  int64_t begin = 0;          ///< of a line: its first byte
  int64_t end = 0;            ///< of a line: the byte behind it, its line break included
  std::string problem = {};   ///< why it cannot be read; empty when it can
};

using VisitRow = std::function<void(const RawRow&)>;

/// Visits the rows of one piece, on any thread. `buffer` is memory to use, and to give to the next piece again.
using Piece = std::function<void(std::string& buffer, const VisitRow& visit)>;

class RowSource {
 public:
  virtual ~RowSource() = default;

  /// The next piece, or nothing at the end. The source must outlive it.
  virtual std::optional<Piece> next() = 0;

  /// Makes a row a sample: parse_tsv_row and its like. Thread-safe.
  virtual void parse(const RawRow& row, const RowRules& rules, Sample& sample) const = 0;

  /// The row's id; empty when it cannot be told. Thread-safe.
  virtual std::string id_of(const RawRow& row) const = 0;
  /// A row that was visited before, in memory again: its views are good as long as `buffer`. Thread-safe.
  virtual RawRow read_again(const RawRow& row, std::string& buffer) const = 0;

  /// Where the source stands behind a row, for start_behind() of a later process.
  virtual Json position(const RawRow& row) const = 0;
  /// Goes on behind a row that was read before, or from the start when `position` is null. UserError when the source
  /// has no such place.
  virtual void start_behind(const Json& position) = 0;

  /// What a user calls the row: {"line": 12} or {"key": "00000011"}. `number` counts from 1.
  virtual Json place(const RawRow& row, int64_t number) const = 0;

  /// What the progress bar counts up to and in which unit, and how far it is behind a row.
  virtual int64_t total() const = 0;
  virtual const char* unit() const = 0;
  virtual int64_t done(const RawRow& row, int64_t number) const = 0;

  /// What tells this file from another: its name, size, and a checksum of both its ends.
  virtual Json identity() const = 0;
};

/// Lines of a TSV file.
std::unique_ptr<RowSource> open_tsv(const std::filesystem::path& path);
/// Records of an LMDB database (a file, or a folder with data.mdb in it), in the order of their keys; those of
/// `__keys__` and `__len__` left out. UserError when it is no such database, is cut short, or holds pyarrow values.
std::unique_ptr<RowSource> open_lmdb(const std::filesystem::path& path);
/// Lines of a product list, each joined with its row in `features`.
std::unique_ptr<RowSource> open_list(const std::filesystem::path& path, std::unique_ptr<RowSource> features,
                                     int64_t workers);

/// identity() of a plain file.
Json file_identity(const std::filesystem::path& path);

}  // namespace capture
