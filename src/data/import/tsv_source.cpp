#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "row_source.h"

namespace capture {

namespace {

constexpr int64_t kPieceBytes = int64_t{8} << 20;
constexpr int64_t kGrowBytes = int64_t{1} << 20;
constexpr int64_t kLineBytes = int64_t{64} << 20;  // room for 6000 regions of 2048 numbers

class TsvSource final : public RowSource {
 public:
  explicit TsvSource(const std::filesystem::path& path)
      : path_(path), identity_(file_identity(path)), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) fail("open");
    size_ = identity_.at("bytes").get<int64_t>();
    if (size_ == 0) throw UserError({.what = "the file is empty", .where = path.string(), .allowed = "TSV rows"});
  }
  ~TsvSource() override { ::close(descriptor_); }

  /// A piece owns the lines that begin in it, so the cuts can be made without looking.
  std::optional<Piece> next() override {
    if (next_ >= size_) return {};
    const int64_t begin = next_;
    next_ = std::min(begin + kPieceBytes, size_);
    return [this, begin, end = next_](std::string& buffer, const VisitRow& visit) {
      visit_lines(begin, end, buffer, visit);
    };
  }

  void parse(const RawRow& row, const RowRules& rules, Sample& sample) const override {
    parse_tsv_row(row.bytes, rules, sample);
  }

  std::string id_of(const RawRow& row) const override { return std::string(tsv_row_id(row.bytes)); }

  RawRow read_again(const RawRow& row, std::string& buffer) const override {
    Window window{buffer, row.begin, row.begin};
    grow(window, row.end - row.begin);
    RawRow again = row;
    again.bytes = window.text();
    if (again.bytes.ends_with('\n')) again.bytes.remove_suffix(1);
    return again;
  }

  Json position(const RawRow& row) const override { return row.end; }
  void start_behind(const Json& position) override {
    start_ = next_ = 0;
    if (position.is_null()) return;
    const bool ok = position.is_number_integer() && position.get<int64_t>() > 0 && position.get<int64_t>() <= size_;
    if (!ok) throw UserError({.what = "has no byte " + position.dump() + " to go on at", .where = path_.string()});
    start_ = next_ = position.get<int64_t>();
  }

  Json place(const RawRow&, int64_t number) const override { return {{"line", number}}; }
  int64_t total() const override { return size_ / kUnit; }
  const char* unit() const override { return "MB"; }
  int64_t done(const RawRow& row, int64_t) const override { return row.end / kUnit; }
  Json identity() const override { return identity_; }

 private:
  static constexpr int64_t kUnit = 1'000'000;

  /// Part of the file in memory. Views into it are good until it grows.
  struct Window {
    std::string& buffer;
    int64_t begin;  // of the file's bytes that are in the buffer
    int64_t end;

    std::string_view text() const { return {buffer.data(), static_cast<size_t>(end - begin)}; }
    std::string_view from(int64_t offset) const { return text().substr(static_cast<size_t>(offset - begin)); }
  };

  [[noreturn]] void fail(const char* doing) const {
    throw UserError(
        {.what = std::string("cannot ") + doing + " the file: " + std::strerror(errno), .where = path_.string()});
  }

  /// Adds up to `bytes` to the window's end; less at the end of the file.
  void grow(Window& window, int64_t bytes) const {
    bytes = std::min(bytes, size_ - window.end);
    const auto held = static_cast<size_t>(window.end - window.begin);
    const size_t wanted = held + static_cast<size_t>(bytes);
    if (window.buffer.size() < wanted) window.buffer.resize(wanted);
    for (size_t at = held; at < wanted;) {
      const ssize_t got =
          ::pread(descriptor_, window.buffer.data() + at, wanted - at, window.begin + static_cast<int64_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail("read");
      if (got == 0) throw UserError({.what = "became shorter while it was read", .where = path_.string()});
      at += static_cast<size_t>(got);
    }
    window.end += bytes;
  }

  /// The byte behind the line that begins at `line`, its \n included; grows the window up to there. A line that has no
  /// end ends with the file. One beyond kLineBytes is only measured: the window then holds something else.
  int64_t end_of_line(Window& window, int64_t line, bool& too_long) const {
    int64_t searched = line;
    for (;;) {
      const size_t found = window.from(searched).find('\n');
      if (found != std::string_view::npos) return searched + static_cast<int64_t>(found) + 1;
      searched = window.end;
      if (searched == size_) return size_;
      if (searched - line > kLineBytes) {
        too_long = true;
        window.begin = window.end;
      }
      grow(window, kGrowBytes);
    }
  }

  void visit_lines(int64_t begin, int64_t end, std::string& buffer, const VisitRow& visit) const {
    // One byte more in front tells whether a line begins right here.
    const int64_t first = begin == start_ ? begin : begin - 1;
    Window window{buffer, first, first};
    grow(window, end - first);
    int64_t line = begin;
    if (first != begin) {
      const size_t found = window.text().find('\n');
      if (found == std::string_view::npos) return;  // a line of an earlier piece goes through all of this one
      line = first + static_cast<int64_t>(found) + 1;
    }
    while (line < end) {
      bool too_long = false;
      const int64_t behind = end_of_line(window, line, too_long);
      RawRow row{.begin = line, .end = behind};
      if (too_long) {
        row.problem = "is " + std::to_string(behind - line) + " bytes long; allowed: " + std::to_string(kLineBytes);
      } else {
        row.bytes = window.from(line).substr(0, static_cast<size_t>(behind - line));
        if (row.bytes.ends_with('\n')) {
          row.bytes.remove_suffix(1);
        } else {
          row.problem = "has no line end: the file was cut off here, or its last line break is missing";
        }
      }
      visit(row);
      line = behind;
    }
  }

  std::filesystem::path path_;
  Json identity_;
  int descriptor_;
  int64_t size_ = 0;
  int64_t start_ = 0;  // a line begins here
  int64_t next_ = 0;
};

}  // namespace

Json file_identity(const std::filesystem::path& path) {
  constexpr size_t kEnd = size_t{1} << 20;
  const MappedFile file(path);
  const auto bytes = file.bytes();
  const uint64_t first = checksum(bytes.first(std::min(kEnd, bytes.size())));
  const uint64_t last = checksum(bytes.last(std::min(kEnd, bytes.size())));
  return {{"file", path.filename().string()}, {"bytes", bytes.size()}, {"ends", to_hex(first) + to_hex(last)}};
}

std::unique_ptr<RowSource> open_tsv(const std::filesystem::path& path) {
  return std::make_unique<TsvSource>(path);
}

}  // namespace capture
