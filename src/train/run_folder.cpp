#include "capture/train/run_folder.h"

#include <algorithm>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/train/config.h"
#include "capture/train/profile.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

/// Of a run that was begun with another run's checkpoint.
constexpr const char* kOriginFile = "begun_from.json";

bool is_run(const fs::path& path) {
  return is_there(path / "config.resolved.json");
}

/// A file that a killed process was writing.
bool is_half_written(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && AtomicFile::is_aside(path);
}

/// Also true of a folder whose process was killed before it became a run folder.
bool holds_nothing(const fs::path& path) {
  return std::ranges::all_of(entries_of(path), [](const fs::path& entry) {
    const std::string name = entry.filename().string();
    return name == kOriginFile ||
           (is_half_written(entry) && (name.starts_with("config.resolved.json") || name.starts_with(kOriginFile)));
  });
}

void sweep(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : entries_of(folder)) {
    if (is_half_written(entry)) fs::remove(entry, ignored);
  }
}

/// `given` may end with a slash, as shells complete it.
Checkpoint checkpoint_at(const fs::path& given) {
  const fs::path path = given.has_filename() ? given : given.parent_path();
  std::error_code error;  // what opening it will say
  if (fs::exists(path / "state.json", error) || error) return open_checkpoint(path);
  const auto warn = [](const std::string& message) { log::warn("{}; trying the one before", message); };
  if (is_run(path)) {
    if (auto newest = CheckpointStore(path / "checkpoints").newest(warn)) return std::move(*newest);
  }
  throw UserError({.what = "holds no checkpoint to resume from",
                   .where = path.string(),
                   .allowed = "auto, never, a checkpoints/step_N folder, or a run folder"});
}

/// As it was given, so that a command is known again, wherever links in it lead by now.
std::string full(const fs::path& given) {
  std::error_code error;
  const fs::path path = fs::absolute(given, error).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).string();
}

/// What a run was begun with.
struct Origin {
  std::string resume;   // as it was asked for, full()
  fs::path checkpoint;  // what that was then
};

std::optional<Origin> origin_of(const fs::path& folder) {
  if (!is_there(folder / kOriginFile)) return std::nullopt;
  const Json origin = read_json(folder / kOriginFile).root;
  const auto text = [&](const char* key) {
    const bool is_told = origin.is_object() && origin.contains(key) && origin[key].is_string();
    return is_told ? origin[key].get<std::string>() : std::string();
  };
  const std::string resume = text("resume"), checkpoint = text("checkpoint");
  if (resume.empty()) return std::nullopt;
  return Origin{resume, checkpoint};
}

void compare_key(const std::string& key, const Json& saved, const Json& now) {
  if (saved == now) return;
  const std::string change = key + " was " + to_line(saved) + " when the checkpoint was written and is " + to_line(now);
  switch (resume_effect(key)) {
    case ResumeEffect::none:
      return;
    case ResumeEffect::numbers:
      log::warn("{}: from here on the run differs from the uninterrupted one", change);
      return;
    case ResumeEffect::weights:
      throw UserError({.what = change + ": the checkpoint's weights do not fit",
                       .where = "the configuration",
                       .hint = "resume with the checkpoint's value, or start a new run with --init"});
  }
}

void compare_under(const std::string& path, const Json& saved, const Json& now) {
  static const Json absent;
  for (const auto& [key, value] : now.items()) {
    const std::string here = path.empty() ? key : path + "." + key;
    const Json& before = saved.contains(key) ? saved[key] : absent;
    if (value.is_object() && before.is_object()) {
      compare_under(here, before, value);
    } else {
      compare_key(here, before, value);
    }
  }
}

}  // namespace

RunFolder::RunFolder(fs::path path, const std::string& resume)
    : path_(std::move(path)), checkpoints_(path_ / "checkpoints") {
  std::error_code error;
  const bool occupied = fs::exists(path_, error) && !(fs::is_directory(path_, error) && holds_nothing(path_));
  if (occupied && !is_run(path_)) {
    throw UserError(
        {.what = "is not empty, and no run folder", .where = path_.string(), .hint = "choose another --output"});
  }
  if (occupied && resume == "never") {
    throw UserError({.what = "holds a run already",
                     .where = path_.string(),
                     .hint = "go on with --resume auto, or choose another --output"});
  }
  if (resume == "never") return;
  // Before its checkpoints are looked at: a process that is about to end may be writing its last one.
  if (occupied) lock();
  if (resume == "auto") {
    go_on();
  } else {
    start_from(resume, occupied);
  }
}

void RunFolder::go_on() {
  mend_best();
  start_ = checkpoints_.newest([](const std::string& what) { log::warn("{}; trying the one before", what); });
  if (start_) return;
  // To start anew would remove them all, and perhaps it is only the disk that does not answer.
  if (!checkpoints_.steps().empty()) {
    throw UserError({.what = "holds no checkpoint that is whole",
                     .where = path_.string(),
                     .hint = "put one back, or remove " + (path_ / "checkpoints").string() + " to begin again"});
  }
  // The process that began it was killed before it had written one.
  const auto origin = origin_of(path_);
  if (!origin) return;
  if (!is_there(origin->checkpoint / "state.json")) {
    throw UserError({.what = "has no checkpoint of its own yet, and the one that it was begun from is gone: " +
                             origin->checkpoint.string(),
                     .where = path_.string(),
                     .hint = "choose another --output"});
  }
  begin_from(origin->checkpoint, origin->resume);
}

void RunFolder::start_from(const std::string& resume, bool occupied) {
  const auto origin = occupied ? origin_of(path_) : std::nullopt;
  if (origin && origin->resume == full(resume)) {
    go_on();
    if (origin_.is_null()) {
      log::info("{} was begun from {}, and goes on from a checkpoint of its own", path_.string(), resume);
    }
    return;
  }
  begin_from(resume, full(resume));
  if (!occupied) return;
  std::error_code error;
  if (!fs::equivalent(run_of(*start_), path_, error)) {
    throw UserError({.what = "holds a run of its own, which one from " + start_->folder.string() + " would overwrite",
                     .where = path_.string(),
                     .hint = "choose another --output, or go on with --resume auto"});
  }
  origin_ = Json();
  mend_best();
}

void RunFolder::begin_from(const fs::path& checkpoint, const std::string& resume) {
  std::error_code error;
  const fs::path folder = fs::canonical(checkpoint, error);  // "best" may be another one at the next look
  start_ = checkpoint_at(error ? checkpoint : folder);
  origin_ = {{"resume", resume}, {"checkpoint", fs::absolute(start_->folder, error).string()}};
}

RunFolder::RunFolder(fs::path path, std::optional<Checkpoint> start)
    : path_(std::move(path)), checkpoints_(path_ / "checkpoints"), start_(std::move(start)) {}

void RunFolder::lock() {
  lock_.emplace(path_, "training in");
}

void RunFolder::mend_best() {
  const auto step = checkpoints_.mend_best([this](const std::string& what) {
    log::warn("{}; {} is no link and is renamed to best.damaged", what, (path_ / "checkpoints/best").string());
  });
  if (step) log::info("{} was a copy of step_{}: it is a link again", (path_ / "checkpoints/best").string(), *step);
}

void RunFolder::open() {
  make_folder(path_);
  if (!lock_) {
    lock();
    if (is_run(path_)) {
      throw UserError({.what = "has become the run of another process, which has ended",
                       .where = path_.string(),
                       .hint = "go on with --resume auto, or choose another --output"});
    }
  }
  sweep(path_);
  sweep(path_ / "bad_steps");
  std::error_code ignored;
  for (const auto& part : StepProfiler::parts_of(trace())) fs::remove(part, ignored);
  checkpoints_.sweep();
  checkpoints_.drop_after(start_ ? start_->step : -1);
  if (!origin_.is_null()) {
    write_file(path_ / kOriginFile, to_text(origin_));
  } else if (!start_) {
    fs::remove(path_ / kOriginFile, ignored);  // of a process that was killed before its first checkpoint
  }
}

void RunFolder::require_in_place() const {
  if (!lock_ || lock_->is_at(path_)) return;
  if (const auto place = lock_->place()) {
    throw UserError({.what = "the run folder was renamed to " + place->string() + " while the run wrote into it",
                     .where = path_.string(),
                     .hint = "give it its name back, or name the new one as --output; then go on with --resume auto"});
  }
  throw UserError({.what = "the run folder was removed while the run wrote into it",
                   .where = path_.string(),
                   .hint = "put a copy of it there and go on with --resume auto, or begin anew"});
}

fs::path run_of(const Checkpoint& checkpoint) {
  return fs::absolute(checkpoint.folder).parent_path().parent_path();
}

fs::path tokenizer_copy(const fs::path& run, TokenizerType type) {
  return run / (type == TokenizerType::sentencepiece ? "tokenizer.model" : "vocab.txt");
}

void compare_processes(const Json& state, int64_t batch_size, int64_t world_size) {
  const int64_t processes = state.value("world_size", world_size);
  if (processes == world_size) return;
  const Json& loader = state.at("config").at("loader");
  const auto per_process = loader.at("batch_size").get<int64_t>();
  const int64_t whole = per_process * processes;
  if (batch_size * world_size == whole) {
    log::info("going on with {} processes and batches of {} instead of {} and {}: the same pairs make each step",
              world_size, batch_size, processes, per_process);
    return;
  }
  const bool divides = whole % world_size == 0;
  throw UserError({.what = "loader.batch_size is " + std::to_string(batch_size) + " on each of " +
                           std::to_string(world_size) + " processes, but the checkpoint was written by " +
                           std::to_string(processes) + " with " + std::to_string(per_process) + " each",
                   .where = "the configuration",
                   .allowed = divides ? "loader.batch_size = " + std::to_string(whole / world_size)
                                      : "a number of processes that divides " + std::to_string(whole)});
}

void compare_configs(const Json& saved, const Json& now) {
  compare_under("", saved, now);
}

}  // namespace capture
