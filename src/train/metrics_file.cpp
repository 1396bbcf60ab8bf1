#include "capture/train/metrics_file.h"

#include "capture/base/files.h"

namespace capture {

namespace {

/// A line that is no JSON object with a step was cut off by a kill.
std::string kept_lines(const std::string& text, const MetricsFile::Keeps& keeps) {
  std::string kept;
  for (size_t start = 0; start < text.size();) {
    const size_t end = text.find('\n', start);
    if (end == std::string::npos) break;
    const Json line = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(start),
                                  text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, /*allow_exceptions=*/false);
    const bool whole = line.is_object() && line.contains("step") && line["step"].is_number_integer();
    if (whole && keeps(line["step"].get<int64_t>(), line)) kept.append(text, start, end + 1 - start);
    start = end + 1;
  }
  return kept;
}

}  // namespace

MetricsFile::MetricsFile(const std::filesystem::path& path, const Keeps& keeps) {
  if (is_there(path)) {
    const std::string text = read_file(path);
    const std::string kept = kept_lines(text, keeps);
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
