// What a gallery is asked: from the command line, or a line of standard input each.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace capture {

/// A photo, a title, or both; or why the question cannot be asked.
struct Question {
  std::string id;               ///< as given, else the number of its line; empty on the command line
  std::filesystem::path photo;  ///< empty: none
  std::string title;            ///< empty: none
  std::string where;            ///< "standard input:3", for messages
  std::string problem;          ///< why it cannot be asked; empty when it can
};

/// A line as a question; nothing where the line is blank. A line that begins with "{" is a JSON object with "photo" (or
/// "image", as lists of photos have it), "title" and "id", other keys passed over; any other line is a title. Photos
/// that are no absolute paths lie in `folder`.
std::optional<Question> parse_question(std::string_view line, int64_t number, const std::string& where,
                                       const std::filesystem::path& folder);

}  // namespace capture
