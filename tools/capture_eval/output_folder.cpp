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
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
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

void OutputFolder::commit() {
  make_folder(path_);
  for (const std::string& name : names_) {
    std::error_code error;
    fs::rename(aside_ / name, path_ / name, error);
    if (error) {
      throw UserError({.what = "cannot move the finished file into place: " + error.message(),
                       .where = (path_ / name).string(),
                       .hint = "choose a folder that you may write to"});
    }
  }
  sync_folder(path_);
}

}  // namespace capture
