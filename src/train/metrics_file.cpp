#include "capture/train/metrics_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "capture/base/error.h"
#include "capture/base/files.h"

namespace capture {

namespace {

/// The lines up to `last_step`. A line that is no JSON object with a step was cut off by a kill: it goes too.
std::string lines_up_to(const std::string& text, int64_t last_step) {
  std::string kept;
  for (size_t start = 0; start < text.size();) {
    const size_t end = text.find('\n', start);
    if (end == std::string::npos) break;
    const Json line = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(start),
                                  text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, /*allow_exceptions=*/false);
    const bool whole = line.is_object() && line.contains("step") && line["step"].is_number_integer();
    if (whole && line["step"].get<int64_t>() <= last_step) kept.append(text, start, end + 1 - start);
    start = end + 1;
  }
  return kept;
}

}  // namespace

MetricsFile::MetricsFile(std::filesystem::path path, int64_t last_step) : path_(std::move(path)) {
  if (std::filesystem::exists(path_)) {
    const std::string text = read_file(path_);
    const std::string kept = lines_up_to(text, last_step);
    if (kept != text) write_file(path_, kept);
  }
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    throw UserError({.what = std::string("cannot open the file: ") + std::strerror(errno), .where = path_.string()});
  }
}

MetricsFile::~MetricsFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MetricsFile::append(const Json& line) {
  const std::string text = to_line(line) + "\n";
  if (::write(descriptor_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw UserError({.what = std::string("cannot write the file: ") + std::strerror(errno),
                     .where = path_.string(),
                     .hint = "free some space, then run again with --resume auto"});
  }
}

void MetricsFile::sync() {
  ::fsync(descriptor_);
}

}  // namespace capture
