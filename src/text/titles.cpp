#include "capture/text/titles.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "capture/base/error.h"
#include "capture/base/json.h"

namespace capture {

namespace {

constexpr size_t kReadBytes = size_t{1} << 18;
constexpr std::string_view kFieldMark = "#####";

int open_to_read(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    throw UserError({.what = std::string("cannot open the file: ") + std::strerror(errno), .where = path.string()});
  }
  return descriptor;
}

}  // namespace

LineReader::LineReader(const std::filesystem::path& path)
    : name_(path.string()), descriptor_(open_to_read(path)), owned_(true) {}

LineReader::LineReader(int descriptor, std::string name)
    : name_(std::move(name)), descriptor_(descriptor), owned_(false) {}

LineReader::~LineReader() {
  if (owned_) ::close(descriptor_);
}

bool LineReader::next(std::string_view& line) {
  while (newline_ == std::string::npos && !ended_) fill();
  if (newline_ == std::string::npos && start_ == buffer_.size()) return false;
  ++line_;
  const size_t end = newline_ == std::string::npos ? buffer_.size() : newline_;
  line = std::string_view(buffer_).substr(start_, end - start_);
  start_ = newline_ == std::string::npos ? end : end + 1;
  newline_ = buffer_.find('\n', start_);
  return true;
}

void LineReader::fill() {
  // Called only when no whole line is left, so what moves to the front is the piece of one line.
  buffer_.erase(0, start_);
  start_ = 0;
  const size_t had = buffer_.size();
  if (had > kMaxLineBytes) {
    throw UserError({.what = "the line is longer than " + std::to_string(kMaxLineBytes >> 20) + " MiB",
                     .where = name_ + ":" + std::to_string(line_ + 1),
                     .allowed = "text with one title a line"});
  }
  buffer_.resize(had + kReadBytes);
  ssize_t got;
  do {
    got = ::read(descriptor_, buffer_.data() + had, kReadBytes);
  } while (got < 0 && errno == EINTR);
  const int error = errno;
  buffer_.resize(had + static_cast<size_t>(got < 0 ? 0 : got));
  if (got < 0) throw UserError({.what = std::string("cannot be read: ") + std::strerror(error), .where = name_});
  if (got == 0) ended_ = true;
  newline_ = buffer_.find('\n', had);
}

TitleReader::TitleReader(const std::filesystem::path& path)
    : lines_(path), format_(path.extension() == ".jsonl" ? Format::json_lines : Format::unknown) {}

bool TitleReader::next(std::string& title) {
  std::string_view line;
  while (lines_.next(line)) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (format_ == Format::unknown) {
      format_ = line.find(kFieldMark) == std::string_view::npos ? Format::text : Format::list;
    }
    if (format_ == Format::text) {
      title = line;
      return true;
    }
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    format_ == Format::list ? read_list_line(line, title) : read_json_line(line, title);
    return true;
  }
  return false;
}

void TitleReader::read_json_line(std::string_view line, std::string& title) const {
  const std::string where = lines_.where();
  // A line of its own is always parsed as line 1: the message needs only the file's line.
  const Json json = parse_json(line, where).root;
  const auto at = json.is_object() ? json.find("title") : json.end();
  if (at == json.end() || !at->is_string()) {
    throw UserError({.what = "the line has no \"title\" with text",
                     .where = where,
                     .allowed = "JSON lines such as {\"title\": \"…\"}"});
  }
  title = at->get<std::string>();
}

void TitleReader::read_list_line(std::string_view line, std::string& title) const {
  const size_t first = line.find(kFieldMark);
  if (first == std::string_view::npos) {
    throw UserError({.what = "the line has no second field",
                     .where = lines_.where(),
                     .allowed = "id#####title#####… on every line of a list"});
  }
  const std::string_view rest = line.substr(first + kFieldMark.size());
  title = rest.substr(0, rest.find(kFieldMark));
}

}  // namespace capture
