#include "capture/data/import/id_info.h"

#include <algorithm>
#include <limits>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/json.h"

namespace capture {

/// Takes the file's values as the parser meets them, so that no tree of a million objects is ever built.
class IdInfo::Reader {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  Reader(IdInfo& info, std::string where) : info_(info), where_(std::move(where)) {}

  bool null() { return other(); }
  bool boolean(bool) { return other(); }
  bool number_integer(number_integer_t) { return other(); }
  bool number_unsigned(number_unsigned_t) { return other(); }
  bool number_float(number_float_t, const string_t&) { return other(); }
  bool binary(binary_t&) { return other(); }

  bool string(string_t& value) {
    if (depth_ == 2 && key_ == "title") {
      if (has_title_) fail("the title of \"" + id_ + "\" stands twice");
      title_ = std::move(value);
      has_title_ = true;
      return true;
    }
    return other();
  }

  bool start_object(std::size_t) {
    if (++depth_ > kMostLevels) fail("is nested too deeply");
    return true;
  }
  bool end_object() {
    if (--depth_ == 1) take();
    return true;
  }
  bool start_array(std::size_t) {
    if (depth_ < 2) other();
    if (++depth_ > kMostLevels) fail("is nested too deeply");
    return true;
  }
  bool end_array() {
    --depth_;
    return true;
  }

  bool key(string_t& name) {
    if (depth_ == 1) {
      id_ = name;
      has_title_ = false;
    }
    if (depth_ == 2) key_ = name;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
    std::string reason = error.what();
    if (const size_t colon = reason.find(": "); colon != std::string::npos) reason = reason.substr(colon + 2);
    fail("is not valid JSON at byte " + std::to_string(position) + ": " + reason);
  }

 private:
  static constexpr int kMostLevels = 64;

  [[noreturn]] void fail(const std::string& what) const {
    throw UserError({.what = what, .where = where_, .allowed = R"({"<image id>": {"title": "…"}, …})"});
  }

  /// A value that is of no use is passed over inside an entry, and wrong outside of one.
  bool other() const {
    if (depth_ < 2) fail(depth_ == 0 ? "is no JSON object" : "\"" + id_ + "\" is no object with a title");
    return true;
  }

  void take() {
    if (!has_title_) return;
    if (std::max(id_.size(), title_.size()) > std::numeric_limits<uint32_t>::max()) fail("has a text beyond 4 GB");
    info_.entries_.push_back(
        {checksum(id_), info_.text_.size(), static_cast<uint32_t>(id_.size()), static_cast<uint32_t>(title_.size())});
    info_.text_ += id_;
    info_.text_ += title_;
  }

  IdInfo& info_;
  std::string where_;
  int depth_ = 0;
  std::string id_;
  std::string key_;
  std::string title_;
  bool has_title_ = false;
};

IdInfo::IdInfo(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto* begin = reinterpret_cast<const char*>(file.bytes().data());
  Reader reader(*this, path.string());
  Json::sax_parse(begin, begin + file.size(), &reader);
  std::ranges::sort(
      entries_, [this](const Entry& a, const Entry& b) { return a.hash != b.hash ? a.hash < b.hash : id(a) < id(b); });
  const auto twice = std::ranges::adjacent_find(
      entries_, [this](const Entry& a, const Entry& b) { return a.hash == b.hash && id(a) == id(b); });
  if (twice != entries_.end()) {
    throw UserError({.what = "the id \"" + std::string(id(*twice)) + "\" stands twice",
                     .where = path.string(),
                     .hint = "keep one of the two"});
  }
}

std::string_view IdInfo::id(const Entry& entry) const {
  return std::string_view(text_).substr(entry.at, entry.id_bytes);
}

std::optional<std::string_view> IdInfo::title(std::string_view wanted) const {
  const uint64_t hash = checksum(wanted);
  for (auto entry = std::ranges::lower_bound(entries_, hash, {}, &Entry::hash);
       entry != entries_.end() && entry->hash == hash; ++entry) {
    if (id(*entry) == wanted) return std::string_view(text_).substr(entry->at + entry->id_bytes, entry->title_bytes);
  }
  return {};
}

}  // namespace capture
