// What every program shares: --version, the log, and exit codes (0 done, 1 the input is at fault, 2 usage, 3 our bug).
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace capture {

/// Parses the command line with `app` (set up by the caller; sub-commands and callbacks included), runs `body` and
/// turns whatever it throws into a message on standard error and the exit code.
int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& body);

}  // namespace capture
