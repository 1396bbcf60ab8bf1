// What goes wrong on the user's side, said in one sentence.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace capture {

/// The user's input is at fault: a config, a file, an argument. Programs print it and exit with code 1.
///
/// The message reads "<where>: <what>; allowed: <allowed>; <hint>", parts that are empty left out.
class UserError : public std::runtime_error {
 public:
  struct Parts {
    std::string what = {};     ///< what is wrong, with the offending value
    std::string where = {};    ///< file, file:line, key path or argument
    std::string allowed = {};  ///< what would have been accepted
    std::string hint = {};     ///< what to do next, best a command
  };

  explicit UserError(Parts parts);

  const Parts& parts() const { return parts_; }

 private:
  Parts parts_;
};

/// The candidate nearest to `word` in edit distance, or "" when none is near enough to be a likely slip.
std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace capture
