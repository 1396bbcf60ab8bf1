#include "capture_eval/output_folder.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/files.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

/// The folder itself or the nearest one above it that is there: on the same disk as the results will be.
fs::path nearest_existing(const fs::path& path) {
  fs::path folder = fs::absolute(path).lexically_normal();
  std::error_code error;
  while (!fs::exists(folder, error) && !error && folder.has_relative_path()) folder = folder.parent_path();
  if (error) throw UserError({.what = "cannot be an output folder: " + error.message(), .where = path.string()});
  if (!fs::is_directory(folder, error)) {
    throw UserError({.what = "cannot be an output folder: " + folder.string() + " is a file", .where = path.string()});
  }
  return folder;
}

}  // namespace

OutputFolder::OutputFolder(fs::path path) : path_(std::move(path)) {
  aside_ = nearest_existing(path_) / (".results.part-" + std::to_string(::getpid()));
  make_folder(aside_);
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  fs::remove_all(aside_, ignored);
}

fs::path OutputFolder::file(const std::string& name) {
  names_.push_back(name);
  return aside_ / name;
}

fs::path OutputFolder::folder(const std::string& name) {
  folders_.push_back(name);
  return aside_ / name;
}

namespace {

void move(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) {
    throw UserError({.what = "cannot move the finished results into place: " + error.message(),
                     .where = to.string(),
                     .hint = "choose a folder that you may write to"});
  }
}

}  // namespace

void OutputFolder::commit() {
  make_folder(path_);
  for (const std::string& name : folders_) {
    // Renaming cannot replace a folder that holds something; the old one goes when this object does.
    if (is_there(path_ / name)) move(path_ / name, aside_ / (name + ".old"));
    if (is_there(aside_ / name)) move(aside_ / name, path_ / name);
  }
  for (const std::string& name : names_) move(aside_ / name, path_ / name);
  sync_folder(path_);
}

}  // namespace capture
