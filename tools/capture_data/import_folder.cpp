#include "import_folder.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/data/shard.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr const char* kAside = ".importing-";
constexpr const char* kReplaced = ".replaced-";

[[noreturn]] void fail(const fs::path& path, const std::string& doing, const std::error_code& error) {
  throw UserError({.what = "cannot " + doing + ": " + error.message(), .where = path.string()});
}

bool is_ours(const fs::path& file) {
  return file.extension() == kShardSuffix || file.filename() == "scaling.safetensors";
}

void check_target(const fs::path& target, bool force) {
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status)) throw UserError({.what = "is a file, not a folder", .where = target.string()});
  fs::directory_iterator files(target, error);
  if (error) fail(target, "look into the folder", error);
  for (const auto& file : files) {
    if (!force) {
      throw UserError({.what = "the output folder is not empty",
                       .where = target.string(),
                       .hint = "choose another folder, or replace this one with --force"});
    }
    if (!is_ours(file.path())) {
      throw UserError({.what = "the output folder holds \"" + file.path().filename().string() +
                               "\", which no import wrote; --force will not delete it",
                       .where = target.string(),
                       .hint = "choose another folder"});
    }
  }
}

/// Folders of imports that were killed: the process that their name ends in is gone.
void clear_leftovers(const fs::path& target) {
  const fs::path parent = target.parent_path();
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent.empty() ? "." : parent, ignored)) {
    const std::string name = entry.path().filename().string();
    for (const char* kind : {kAside, kReplaced}) {
      const std::string prefix = target.filename().string() + kind;
      if (!name.starts_with(prefix)) continue;
      const long process = std::strtol(name.c_str() + prefix.size(), nullptr, 10);
      if (process > 0 && ::kill(static_cast<pid_t>(process), 0) != 0 && errno == ESRCH) fs::remove_all(entry, ignored);
    }
  }
}

fs::path with_suffix(fs::path path, const char* kind) {
  path += kind + std::to_string(::getpid());
  return path;
}

}  // namespace

ImportFolder::ImportFolder(fs::path target, bool force) : target_(std::move(target)) {
  // "out/" names the folder out.
  if (!target_.has_filename()) target_ = target_.parent_path();
  check_target(target_, force);
  clear_leftovers(target_);
  aside_ = with_suffix(target_, kAside);
  make_folder(aside_);
}

ImportFolder::~ImportFolder() {
  std::error_code ignored;
  if (!aside_.empty()) fs::remove_all(aside_, ignored);
}

void ImportFolder::commit() {
  std::error_code error;
  const fs::path replaced = with_suffix(target_, kReplaced);
  if (fs::exists(target_)) fs::rename(target_, replaced, error);
  if (error) fail(target_, "move the old folder out of the way", error);
  fs::rename(aside_, target_, error);
  if (error) fail(target_, "move the finished folder into place", error);
  aside_.clear();
  sync_folder(target_.parent_path());
  fs::remove_all(replaced, error);
}

}  // namespace capture
