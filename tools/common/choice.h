// Options whose values have names.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>

namespace capture {

/// Turns a name into its value, which is an enum, bool or integer. Another name is answered with the names there are.
template <typename Value>
CLI::Validator one_of(const std::map<std::string, Value>& choices) {
  std::string names;
  for (const auto& [name, value] : choices) names += (names.empty() ? "" : ", ") + name;
  return CLI::Validator(
      [=](std::string& input) -> std::string {
        const auto found = choices.find(input);
        if (found == choices.end()) return "'" + input + "' is not one of " + names;
        input = std::to_string(static_cast<long long>(found->second));
        return {};
      },
      "{" + names + "}", "one_of");
}

}  // namespace capture
