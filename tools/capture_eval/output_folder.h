// A folder of results that appears as a whole: files are made aside and moved in once all of them are there.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace capture {

class OutputFolder {
 public:
  /// UserError when `path` could not become a folder that may be written to: known before the work is done, not after.
  explicit OutputFolder(std::filesystem::path path);
  /// Without commit() nothing is left behind.
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Where to write the result called `name` for now.
  std::filesystem::path file(const std::string& name);
  /// The same for a folder, which the caller makes; one of that name that stands there gives way to it, even when the
  /// caller makes none.
  std::filesystem::path folder(const std::string& name);
  /// Where it will stand.
  const std::filesystem::path& path() const { return path_; }

  /// Moves the results into place, in the order in which file() named them.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path aside_;
  std::vector<std::string> names_;
  std::vector<std::string> folders_;
};

}  // namespace capture
