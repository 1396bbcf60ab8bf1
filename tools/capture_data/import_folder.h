// The folder that an import makes: built aside, seen by nobody before it is whole.
#pragma once

#include <filesystem>

namespace capture {

class ImportFolder {
 public:
  /// UserError when `target` exists and is not empty, unless `force` is set and it holds nothing but what an import
  /// writes (*.capshard, scaling.safetensors). Also clears away what killed imports into the same target left behind.
  ImportFolder(std::filesystem::path target, bool force);
  /// Without commit() nothing is left behind.
  ~ImportFolder();
  ImportFolder(const ImportFolder&) = delete;
  ImportFolder& operator=(const ImportFolder&) = delete;

  /// Where to write.
  const std::filesystem::path& aside() const { return aside_; }
  /// Moves the folder into place, an old one out of the way.
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path aside_;
};

}  // namespace capture
