#include "capture/data/shard_set_writer.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/folder_lock.h"
#include "capture/data/shard_index.h"
#include "capture/data/shard_writer.h"
#include "id_set.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr const char* kIdsSuffix = ".ids";
constexpr const char* kStartOver = "choose another folder, or replace this one with --force";

std::string shard_name(size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits + kShardSuffix;
}

/// Whether a writer of ours, or its AtomicFile, gave a file this name. `beside`: the set's further files.
bool is_ours(std::string name, const std::vector<std::string>& beside) {
  name = name.substr(0, name.find(".part-"));
  if (name == kShardIndexFile || name == kSourceFile || std::ranges::count(beside, name) > 0) return true;
  const size_t digits = name.find_first_not_of("0123456789");
  if (digits == std::string::npos || digits < 5) return false;
  return name.substr(digits) == kShardSuffix || name.substr(digits) == kIdsSuffix;
}

/// The checksums of a shard's ids and, behind them, theirs: what a run that goes on needs of a whole shard. Without it,
/// every record would have to be looked at, which lie far apart.
void write_ids(const fs::path& path, std::vector<uint64_t> hashes) {
  hashes.push_back(checksum(std::as_bytes(std::span(hashes))));
  write_file(path, {reinterpret_cast<const char*>(hashes.data()), hashes.size() * sizeof(uint64_t)});
}

/// Nothing when the file is missing or not what write_ids wrote: the shard itself still has the ids.
std::optional<std::vector<uint64_t>> read_ids(const fs::path& path, int64_t samples) {
  std::error_code error;
  const auto count = static_cast<size_t>(samples) + 1;
  if (fs::file_size(path, error) != count * sizeof(uint64_t) || error) return {};
  const std::string bytes = read_file(path);
  std::vector<uint64_t> hashes(count);
  if (bytes.size() != count * sizeof(uint64_t)) return {};
  std::memcpy(hashes.data(), bytes.data(), bytes.size());
  const uint64_t expected = hashes.back();
  hashes.pop_back();
  if (checksum(std::as_bytes(std::span(hashes))) != expected) return {};
  return hashes;
}

const fs::path& made(const fs::path& folder) {
  make_folder(folder);
  return folder;
}

}  // namespace

struct ShardSetWriter::Impl {
  Impl(fs::path where, ShardSetOptions options_given)
      : folder(std::move(where)), options(std::move(options_given)), lock(made(folder), "writing into") {
    if (is_there(folder / kShardIndexFile) && !options.start_over) {
      go_on();
    } else {
      start();
    }
  }

  bool ours(const std::string& name) const { return is_ours(name, options.beside); }

  void start() {
    for (const fs::path& file : entries_of(folder)) {
      const bool own = ours(file.filename());
      if (own && options.start_over) continue;
      const bool leftover = own && file.filename().string().find(".part-") != std::string::npos;
      if (leftover) continue;
      throw UserError({.what = "the output folder holds \"" + file.filename().string() + "\"" +
                               (own ? "" : ", which no import wrote; --force will not delete it"),
                       .where = folder.string(),
                       .hint = own ? kStartOver : "choose another folder"});
    }
    // The index goes first: without it, shards that a kill here leaves are named by nothing.
    fs::remove(folder / kShardIndexFile);
    clear_leftovers();
    fs::remove(folder / kSourceFile);
    remove_beside();
    write_index();
  }

  void go_on() {
    index = read_shard_index(folder);
    const Json source = index.complete ? read_json(folder / kSourceFile).root : index.making.value("source", Json());
    require_same(source == options.source);
    if (index.complete) return;
    journal = index.making.value("journal", Json());
    clear_leftovers();
  }

  /// Opens the shards that are there.
  void begin(const ShardLayout& layout_given, Json origin_given) {
    layout = layout_given;
    origin = std::move(origin_given);
    for (const ShardEntry& entry : index.shards) {
      const Shard& shard = shards.emplace_back(folder / entry.file);
      require_same(shard.header().layout == layout && shard.origin() == origin);
      if (entry_of(shard) != entry) {
        throw UserError({.what = "is not the shard that the index names: its checksum or size differs",
                         .where = shard.path().string(),
                         .hint = kStartOver});
      }
      if (!index.complete) remember_all(shard, starts.back());
      starts.push_back(starts.back() + shard.size());
    }
  }

  void require_same(bool same) const {
    if (same) return;
    throw UserError({.what = std::string(index.complete ? "holds" : "holds the beginning of") +
                             " an import from another source or with other options",
                     .where = folder.string(),
                     .hint = index.complete
                                 ? kStartOver
                                 : "give the same options to go on with it, choose another folder, or replace "
                                   "this one with --force"});
  }

  /// What a process that died left, and whole shards that it had no time to name in the index.
  void clear_leftovers() const {
    for (const fs::path& file : entries_of(folder)) {
      const std::string name = file.filename();
      if (!ours(name) || name == kShardIndexFile || name == kSourceFile) continue;
      if (std::ranges::count(options.beside, name) > 0) continue;
      const bool named = std::ranges::any_of(index.shards, [&](const ShardEntry& entry) {
        return entry.file == name || ids_path(entry.file).filename() == name;
      });
      if (!named) fs::remove(file);
    }
  }

  void remove_beside() const {
    std::error_code ignored;
    for (const std::string& name : options.beside) fs::remove(folder / name, ignored);
  }

  fs::path ids_path(const std::string& shard) const { return (folder / shard).replace_extension(kIdsSuffix); }

  static ShardEntry entry_of(const Shard& shard) {
    return {.file = shard.path().filename().string(),
            .samples = shard.size(),
            .bytes = static_cast<int64_t>(fs::file_size(shard.path())),
            .checksum = shard.header().checksums_checksum};
  }

  /// The ids of a whole shard, of which none stands twice.
  void remember_all(const Shard& shard, int64_t first) {
    const auto hashes = read_ids(ids_path(shard.path().filename()), shard.size());
    for (int64_t i = 0; i < shard.size(); ++i) {
      seen.insert_new(hashes ? (*hashes)[static_cast<size_t>(i)] : checksum(shard.sample(i).id()), first + i);
    }
  }

  /// The place of an equal id that was added before.
  std::optional<int64_t> remember(std::string_view id, int64_t place) {
    return seen.insert(id, place, [&](int64_t known) -> std::string_view {
      if (known >= starts.back()) return ids[static_cast<size_t>(known - starts.back())];
      const auto next = std::ranges::upper_bound(starts, known);
      const auto shard = static_cast<size_t>(next - starts.begin()) - 1;
      return shards[shard].sample(known - starts[shard]).id();
    });
  }

  /// Makes the shard whole. The index does not name it yet.
  void end_shard() {
    writer->finish();
    writer.reset();
    const Shard& shard = shards.emplace_back(folder / shard_name(shards.size()));
    starts.push_back(starts.back() + shard.size());
    index.shards.push_back(entry_of(shard));
    index.samples = starts.back();
    ids.clear();
  }

  std::vector<uint64_t> id_hashes() const {
    std::vector<uint64_t> hashes;
    for (const std::string& id : ids) hashes.push_back(checksum(id));
    return hashes;
  }

  void write_index() {
    if (!index.complete) index.making = {{"source", options.source}, {"journal", journal}};
    write_shard_index(folder, index);
  }

  fs::path folder;
  ShardLayout layout;
  Json origin;
  ShardSetOptions options;
  FolderLock lock;
  ShardIndex index;
  Json journal;
  std::vector<Shard> shards;          // the whole ones
  std::vector<int64_t> starts = {0};  // of each of them, then of the one that is being written
  std::optional<ShardWriter> writer;
  std::vector<std::string> ids;  // of the shard that is being written
  IdSet seen;
};

ShardSetWriter::ShardSetWriter(fs::path folder, const ShardLayout& layout, Json origin, ShardSetOptions options)
    : ShardSetWriter(std::move(folder), std::move(options)) {
  begin(layout, std::move(origin));
}

ShardSetWriter::ShardSetWriter(fs::path folder, ShardSetOptions options)
    : impl_(std::make_unique<Impl>(std::move(folder), std::move(options))) {}

void ShardSetWriter::begin(const ShardLayout& layout, Json origin) {
  impl_->begin(layout, std::move(origin));
}

ShardSetWriter::~ShardSetWriter() {
  Impl& set = *impl_;
  set.writer.reset();
  if (!set.index.shards.empty()) return;
  std::error_code ignored;
  set.remove_beside();
  fs::remove(set.folder / kShardIndexFile, ignored);
  fs::remove(set.folder, ignored);  // succeeds only when nothing else is in it
}

bool ShardSetWriter::complete() const {
  return impl_->index.complete;
}

const Json& ShardSetWriter::journal() const {
  return impl_->journal;
}

int64_t ShardSetWriter::size() const {
  return impl_->index.samples + static_cast<int64_t>(impl_->ids.size());
}

const ShardLayout& ShardSetWriter::layout() const {
  return impl_->layout;
}

void ShardSetWriter::add(EncodedSample sample, const std::function<Json()>& journal) {
  Impl& set = *impl_;
  if (set.remember(sample.id, size())) {
    throw UserError(
        {.what = "was added before", .where = "sample \"" + sample.id + "\"", .allowed = "ids that differ"});
  }
  if (!set.writer) set.writer.emplace(set.folder / shard_name(set.shards.size()), set.layout, set.origin);
  set.ids.push_back(sample.id);
  set.writer->add(std::move(sample));
  const int64_t most = set.options.shard_samples;
  if (set.writer->bytes() >= set.options.shard_bytes || (most > 0 && set.writer->size() >= most)) {
    std::vector<uint64_t> hashes = set.id_hashes();
    set.end_shard();
    write_ids(set.ids_path(set.index.shards.back().file), std::move(hashes));
    set.journal = journal ? journal() : Json();
    set.write_index();
  }
}

void ShardSetWriter::finish() {
  Impl& set = *impl_;
  if (set.index.complete) return;
  if (size() == 0) throw UserError({.what = "there is no sample to write", .where = set.folder.string()});
  // The last shard is named by the complete index alone: there is no note of where the source stands behind it, and
  // nobody will go on behind it and ask for its ids.
  if (set.writer) set.end_shard();
  // The source first: a complete index without it could not be told from another's.
  write_file(set.folder / kSourceFile, to_text(set.options.source));
  for (const ShardEntry& entry : set.index.shards) fs::remove(set.ids_path(entry.file));
  set.index.complete = true;
  set.write_index();
}

}  // namespace capture
