#include "capture/train/metrics_file.h"

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

MetricsFile::MetricsFile(const std::filesystem::path& path, int64_t last_step) {
  if (std::filesystem::exists(path)) {
    const std::string text = read_file(path);
    const std::string kept = lines_up_to(text, last_step);
    if (kept != text) write_file(path, kept);
  }
  file_.emplace(path);
}

void MetricsFile::append(const Json& line) {
  const std::scoped_lock lock(mutex_);
  unwritten_ += to_line(line) + "\n";
  write();
}

void MetricsFile::sync() {
  const std::scoped_lock lock(mutex_);
  write();
  file_->sync();
}

void MetricsFile::write() {
  if (unwritten_.empty()) return;
  file_->append(unwritten_);
  unwritten_.clear();
}

}  // namespace capture
