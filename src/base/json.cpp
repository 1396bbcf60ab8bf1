#include "capture/base/json.h"

#include <unordered_set>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/terminal.h"

namespace capture {

namespace {

constexpr size_t kMaxDepth = 64;

/// A forward iterator over the text that counts lines as the parser reads. The parser reads one character past a number
/// to see its end: a newline counts only once the character after it is read, so that the number keeps its line.
struct LineCounter {
  const char* at;
  int* line;
  bool after_newline = false;
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char& operator*() const { return *at; }
  LineCounter& operator++() {
    if (after_newline) ++*line;
    after_newline = *at == '\n';
    ++at;
    return *this;
  }
  bool operator==(const LineCounter& other) const { return at == other.at; }
  bool operator!=(const LineCounter& other) const { return at != other.at; }
};

/// Builds the value while noting where each part stands, and refuses duplicate keys.
class Builder {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  Builder(JsonDocument& document, const std::string& name, const int& line)
      : document_(document), name_(name), line_(line) {}

  bool null() { return value(nullptr); }
  bool boolean(bool v) { return value(v); }
  bool number_integer(number_integer_t v) { return value(v); }
  bool number_unsigned(number_unsigned_t v) { return value(v); }
  bool number_float(number_float_t v, const string_t&) { return value(v); }
  bool string(string_t& v) { return value(std::move(v)); }
  bool binary(binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Json::object()); }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_array() { return close(); }

  bool key(string_t& name) {
    Level& level = levels_.back();
    level.key = name;
    if (!level.keys.insert(name).second) {
      const std::string path = path_here();
      throw UserError({.what = "the key \"" + name + "\" stands twice (first at " + document_.origins.at(path) + ")",
                       .where = here(),
                       .hint = "keep one of the two"});
    }
    return true;
  }

  bool parse_error(std::size_t, const std::string& token, const nlohmann::detail::exception& error) {
    std::string reason = error.what();
    // The library's text is "[json.exception.parse_error.101] parse error at line 1, column 2: <reason>".
    if (const size_t colon = reason.find(": "); colon != std::string::npos) reason = reason.substr(colon + 2);
    // Both quote the text, which may be anything.
    const std::string what = one_line("is not valid JSON near \"" + token.substr(0, 40) + "\": " + reason);
    throw UserError({.what = what, .where = here()});
  }

 private:
  struct Level {
    Json* container;
    std::string key;
    std::string path;
    std::unordered_set<std::string> keys;  // of an object: its own look-up would go through all of them
  };

  std::string here() const { return name_ + ":" + std::to_string(line_); }

  std::string path_here() const {
    if (levels_.empty()) return {};
    const Level& level = levels_.back();
    if (level.container->is_array()) return level.path + "[" + std::to_string(level.container->size()) + "]";
    return level.path.empty() ? level.key : level.path + "." + level.key;
  }

  template <class T>
  Json* put(T&& v) {
    document_.origins.emplace(path_here(), here());
    if (levels_.empty()) {
      document_.root = std::forward<T>(v);
      return &document_.root;
    }
    Level& level = levels_.back();
    if (level.container->is_array()) {
      level.container->push_back(std::forward<T>(v));
      return &level.container->back();
    }
    auto& members = level.container->get_ref<Json::object_t&>();
    members.push_back({level.key, std::forward<T>(v)});
    return &members.back().second;
  }

  template <class T>
  bool value(T&& v) {
    put(std::forward<T>(v));
    return true;
  }

  bool open(Json container) {
    if (levels_.size() >= kMaxDepth) {
      throw UserError({.what = "is nested deeper than " + std::to_string(kMaxDepth) + " levels", .where = here()});
    }
    std::string path = path_here();
    levels_.push_back({put(std::move(container)), {}, std::move(path), {}});
    return true;
  }

  bool close() {
    levels_.pop_back();
    return true;
  }

  JsonDocument& document_;
  const std::string& name_;
  const int& line_;
  std::vector<Level> levels_;
};

}  // namespace

JsonDocument parse_json(std::string_view text, const std::string& name) {
  JsonDocument document;
  int line = 1;
  Builder builder(document, name, line);
  const LineCounter begin{text.data(), &line};
  const LineCounter end{text.data() + text.size(), &line};
  Json::sax_parse(begin, end, &builder, nlohmann::detail::input_format_t::json, /*strict=*/true,
                  /*ignore_comments=*/true);
  return document;
}

JsonDocument read_json(const std::filesystem::path& path) {
  return parse_json(read_file(path), path.string());
}

std::string to_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_text(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace capture
