// A line of JSON, written piece by piece: for files of so many lines that building each as a Json would take longer
// than all the rest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace capture {

/// Appends one object to a text, which then reads as to_line() of the same Json would; numbers may be spelt another
/// way, with the same value. Whatever is opened must be closed.
class JsonLine {
 public:
  /// Opens the object.
  explicit JsonLine(std::string& text) : text_(text) { text_ += '{'; }

  void add(std::string_view key, double value);
  void add(std::string_view key, int64_t value);
  void add(std::string_view key, std::string_view value);
  void open_object(std::string_view key);
  void open_array(std::string_view key);
  /// An element of the array that is open.
  void add_element(std::string_view value);
  void close_object() { close('}'); }
  void close_array() { close(']'); }
  /// Closes the object that the line is, and ends the line.
  void end() { text_ += "}\n"; }

 private:
  void separate();
  void start(std::string_view key);
  void append(std::string_view value);
  void close(char bracket);

  std::string& text_;
};

}  // namespace capture
