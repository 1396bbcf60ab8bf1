// Titles that stand apart from the features: Product1M's train_id_info.json, {image_id: {"title": …, …}, …}.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace capture {

class IdInfo {
 public:
  /// Reads the file once, from start to end; what is kept is about the size of its ids and titles. UserError when it is
  /// not JSON of that form, not UTF-8, or an id stands twice.
  explicit IdInfo(const std::filesystem::path& path);

  /// The title of an id; nothing when the file has none for it. Thread-safe.
  std::optional<std::string_view> title(std::string_view id) const;

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }

 private:
  struct Entry {
    uint64_t hash;
    uint64_t at;  // of the id in text_; its title follows
    uint32_t id_bytes;
    uint32_t title_bytes;
  };
  class Reader;
  std::string_view id(const Entry& entry) const;

  std::string text_;
  std::vector<Entry> entries_;  // by hash
};

}  // namespace capture
