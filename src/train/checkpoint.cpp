#include "capture/train/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "capture/base/block_checksum.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/base/parallel.h"
#include "capture/tensor/large_safetensors.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step_";
constexpr const char* kAside = ".writing";
constexpr const char* kGoing = ".removing";
constexpr const char* kDamaged = ".damaged";
constexpr int64_t kFormat = 3;
/// In which checksums were checksum() of the files.
constexpr int64_t kFormatWithoutBlocks = 2;

/// Threads that verify a file. More bring little, and a machine's cores may not be all ours.
constexpr size_t kMostReaders = 8;

/// state.json and the headers of the others: far more than they take.
constexpr uint64_t kHeaderBytes = uint64_t{4} << 20;

/// Of a checkpoint that is not whole. One that cannot be read may well be, and is an error of another type.
struct Damage : UserError {
  using UserError::UserError;
};

[[noreturn]] void damaged(const fs::path& file, const std::string& what) {
  throw Damage({.what = "the checkpoint is damaged: " + what,
                .where = file.string(),
                .hint = "remove that checkpoint's folder, or resume from another one"});
}

/// What is there and does not answer is left to whoever opens it.
void require_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) damaged(path, "the file is missing");
  if (fs::exists(status) && !fs::is_regular_file(status)) damaged(path, "it is no regular file");
}

std::string checksum_of(const fs::path& path, int64_t format) {
  require_file(path);
  const MappedFile file(path);
  return to_hex(format == kFormatWithoutBlocks ? checksum(file.bytes())
                                               : block_checksum(file.bytes(), std::min(core_count(), kMostReaders)));
}

/// Filling a disk to its last byte would also stop everybody else who writes to it.
void require_space(const fs::path& folder, uint64_t bytes) {
  const uint64_t needed = bytes + kHeaderBytes;
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= needed) return;
  throw UserError({.what = "the checkpoint needs " + std::to_string(needed >> 20) + " MiB, and its disk has " +
                           std::to_string(space.available >> 20) + " left",
                   .where = folder.string(),
                   .hint = "free some space, or lower trainer.keep_last"});
}

std::optional<int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [last, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  return error == std::errc() && last == end ? std::optional(step) : std::nullopt;
}

/// Under another name first, so that a kill leaves no half of a checkpoint that bears a checkpoint's name.
void discard(const fs::path& checkpoint) {
  std::error_code ignored;
  const fs::path going = checkpoint.string() + kGoing;
  fs::remove_all(going, ignored);
  fs::rename(checkpoint, going, ignored);
  fs::remove_all(going, ignored);
}

/// Removes the folder it guards unless told that it is done.
class Aside {
 public:
  explicit Aside(fs::path path) : path_(std::move(path)) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    make_folder(path_);
  }
  ~Aside() {
    std::error_code ignored;
    if (!done_) fs::remove_all(path_, ignored);
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

  void move_to(const fs::path& target) {
    // One of the same step changes places with this one, so that a kill leaves either. Some network disks cannot.
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
      discard(path_);
    } else {
      std::error_code error;
      fs::remove_all(target, error);
      if (!error) fs::rename(path_, target, error);
      if (error) {
        throw UserError(
            {.what = "cannot move the checkpoint into place: " + error.message(), .where = target.string()});
      }
    }
    done_ = true;
    sync_folder(target.parent_path());
  }

 private:
  fs::path path_;
  bool done_ = false;
};

/// What is called "best" and is no link to a checkpoint.
[[noreturn]] void in_the_way(const fs::path& best) {
  throw UserError({.what = "is no link, and stands where a run keeps the one to its best checkpoint",
                   .where = best.string(),
                   .hint = "move it elsewhere"});
}

bool is_no_link(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  return fs::exists(status) && !fs::is_symlink(status);
}

Json read_root(const fs::path& path) {
  require_file(path);
  const std::string text = read_file(path);
  try {
    return parse_json(text, path.string()).root;
  } catch (const UserError& error) {
    throw Damage(error.parts());
  }
}

int64_t format_of(const Json& state) {
  return state.value("format", int64_t{0});
}

/// Verifies state.json alone, which has the checksums of the other files.
Checkpoint read_state(const fs::path& folder) {
  Checkpoint checkpoint;
  checkpoint.folder = folder;
  const fs::path path = folder / "state.json";
  const Json root = read_root(path);
  const auto text = [&](const char* key) -> std::string {
    if (!root.is_object() || !root.contains(key) || !root[key].is_string())
      damaged(path, std::string("no \"") + key + "\"");
    return root[key].get<std::string>();
  };
  const std::string state_checksum = text("state_checksum");
  if (!root.contains("state") || to_hex(checksum(to_line(root["state"]))) != state_checksum) {
    damaged(path, "it differs from its checksum");
  }
  checkpoint.state = root["state"];
  const int64_t format = format_of(checkpoint.state);
  if (format != kFormat && format != kFormatWithoutBlocks) {
    throw UserError({.what = "the checkpoint has a format that this version does not read",
                     .where = path.string(),
                     .hint = "go on with the version that wrote it"});
  }
  checkpoint.step = checkpoint.state.value("step", int64_t{-1});
  if (const auto named = step_of(folder); named && named != checkpoint.step) {
    throw UserError({.what = "holds the checkpoint of step " + std::to_string(checkpoint.step),
                     .where = folder.string(),
                     .hint = "give it its name back"});
  }
  return checkpoint;
}

/// Of a checkpoint whose state.json is whole, if there is one.
std::optional<Json> state_of(const fs::path& folder) {
  try {
    return read_state(folder).state;
  } catch (const Damage&) {
    return std::nullopt;
  }
}

bool is_whole(const fs::path& folder) {
  try {
    open_checkpoint(folder);
    return true;
  } catch (const Damage&) {
    return false;
  }
}

/// Gives `copy` the name of a checkpoint that is missing or damaged.
void replace(const fs::path& checkpoint, const fs::path& copy) {
  std::error_code error, ignored;
  const fs::path going = checkpoint.string() + kGoing;
  fs::remove_all(going, ignored);
  fs::rename(checkpoint, going, ignored);
  fs::rename(copy, checkpoint, error);
  if (error) {
    fs::rename(going, checkpoint, ignored);
    throw UserError({.what = "cannot give it its name back: " + error.message(), .where = copy.string()});
  }
  fs::remove_all(going, ignored);
}

void put_best_aside(const fs::path& best) {
  std::error_code error;
  fs::rename(best, best.string() + kDamaged, error);
  if (error) in_the_way(best);
}

/// In the place of a damaged one of the same step, if there was one before.
void put_aside(const fs::path& checkpoint) {
  std::error_code error, ignored;
  const fs::path aside = checkpoint.string() + kDamaged;
  fs::remove_all(aside, ignored);
  fs::rename(checkpoint, aside, error);
  if (!error) log::info("{} is renamed to {}, and stays until you remove it", checkpoint.string(), aside.string());
}

}  // namespace

Checkpoint open_checkpoint(const fs::path& folder) {
  Checkpoint checkpoint = read_state(folder);
  const fs::path path = folder / "state.json";
  const Json& checksums = checkpoint.state.contains("checksums") ? checkpoint.state["checksums"] : Json();
  for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
    if (!checksums.contains(name)) damaged(path, std::string("no checksum of ") + name);
  }
  for (const auto& [name, value] : checksums.items()) {
    if (checksum_of(folder / fs::path(name).filename(), format_of(checkpoint.state)) != value) {
      damaged(folder / name, "it differs from its checksum");
    }
  }
  return checkpoint;
}

void CheckpointStore::save(int64_t step, const std::vector<TensorFile>& files, const Json& state) const {
  uint64_t bytes = 0;
  for (const auto& file : files) {
    for (const auto& [name, tensor] : file.tensors) bytes += tensor.nbytes();
  }
  const auto write = [&](const fs::path& folder) {
    std::map<std::string, uint64_t> checksums;
    for (const auto& [name, tensors, metadata] : files) {
      checksums[name] = write_large_safetensors(folder / name, tensors, metadata);
    }
    return checksums;
  };
  save_with(step, bytes, write, state);
}

void CheckpointStore::save_with(int64_t step, uint64_t bytes, const WriteFiles& write, const Json& state) const {
  make_folder(folder_);
  require_space(folder_, bytes);
  const fs::path target = path_of(step);
  const fs::path at = target.string() + kAside;
  Aside aside(at);
  Json body = {{"format", kFormat}, {"step", step}, {"checksums", Json::object()}};
  for (const auto& [name, sum] : write(at)) body["checksums"][name] = to_hex(sum);
  body.update(state);
  write_file(at / "state.json", to_text({{"state_checksum", to_hex(checksum(to_line(body)))}, {"state", body}}));
  aside.move_to(target);
}

std::vector<int64_t> CheckpointStore::steps() const {
  std::vector<int64_t> found;
  std::error_code ignored;
  for (const auto& path : entries_of(folder_)) {
    if (const auto step = step_of(path); step && !fs::is_symlink(path, ignored)) found.push_back(*step);
  }
  std::ranges::sort(found);
  return found;
}

fs::path CheckpointStore::path_of(int64_t step) const {
  return folder_ / (std::string(kPrefix) + std::to_string(step));
}

void CheckpointStore::prune(int64_t keep_last) const {
  std::vector<int64_t> all = steps();
  const auto kept = best();
  const size_t last = std::min(all.size(), static_cast<size_t>(keep_last));
  all.resize(all.size() - last);
  for (const int64_t step : all) {
    if (step != kept) discard(path_of(step));
  }
}

void CheckpointStore::drop_after(int64_t step) const {
  for (const int64_t later : steps()) {
    if (later <= step) continue;
    if (std::ranges::find(passed_over_, later) == passed_over_.end()) {
      discard(path_of(later));
    } else {
      put_aside(path_of(later));
    }
  }
  std::error_code ignored;
  if (const auto pointed = best(); pointed && !is_there(path_of(*pointed))) fs::remove(folder_ / "best", ignored);
}

void CheckpointStore::set_best(int64_t step) const {
  const fs::path aside = folder_ / (std::string("best") + kAside);
  const fs::path best = folder_ / "best";
  if (is_no_link(best)) in_the_way(best);
  std::error_code error;
  fs::remove_all(aside, error);
  fs::create_directory_symlink(path_of(step).filename(), aside, error);
  if (!error) fs::rename(aside, best, error);
  if (error) {
    throw UserError({.what = "cannot point at the best checkpoint: " + error.message(), .where = best.string()});
  }
  sync_folder(folder_);
}

std::optional<int64_t> CheckpointStore::mend_best(const std::function<void(const std::string&)>& damaged) const {
  const fs::path best = folder_ / "best";
  if (!is_no_link(best)) return std::nullopt;
  if (!is_there(best / "state.json")) in_the_way(best);
  Checkpoint copy;
  try {
    copy = open_checkpoint(best);
  } catch (const Damage& error) {
    put_best_aside(best);
    damaged(error.what());
    return std::nullopt;
  }
  const fs::path own = path_of(copy.step);
  if (const auto kept = state_of(own); kept && *kept != copy.state) in_the_way(best);
  if (is_whole(own)) {
    discard(best);
  } else {
    replace(own, best);
  }
  set_best(copy.step);
  return copy.step;
}

std::optional<int64_t> CheckpointStore::best() const {
  std::error_code error;
  const fs::path target = fs::read_symlink(folder_ / "best", error);
  return error ? std::nullopt : step_of(target);
}

std::optional<Checkpoint> CheckpointStore::newest(const std::function<void(const std::string&)>& skipped) {
  passed_over_.clear();
  const std::vector<int64_t> all = steps();
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    try {
      return open_checkpoint(path_of(*step));
    } catch (const Damage& error) {
      skipped(error.what());
      passed_over_.push_back(*step);
    } catch (const UserError& error) {
      // It may be whole, and to go on from an earlier one would remove it.
      UserError::Parts parts = error.parts();
      if (parts.hint.empty()) parts.hint = "make it readable";
      parts.hint += ", or remove " + path_of(*step).string() + " if it is not wanted";
      throw UserError(std::move(parts));
    }
  }
  return std::nullopt;
}

void CheckpointStore::sweep() const {
  std::error_code ignored;
  for (const auto& path : entries_of(folder_)) {
    const std::string name = path.filename().string();
    if (name.ends_with(kAside) || name.ends_with(kGoing)) fs::remove_all(path, ignored);
  }
}

}  // namespace capture
