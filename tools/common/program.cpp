#include "common/program.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/base/lost_file.h"
#include "capture/base/sentence.h"
#include "capture/base/terminal.h"

namespace capture {

namespace {

/// CLI11 would only say that a command is missing.
void check_command(const CLI::App& app, int argc, char** argv) {
  if (app.get_require_subcommand_min() == 0 || argc < 2 || *argv[1] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  if (std::ranges::count(names, argv[1]) > 0) return;
  const std::string near = nearest_word(argv[1], names);
  throw CLI::ParseError(
      "there is no command \"" + one_line(argv[1]) + "\"" + (near.empty() ? "" : "; did you mean " + near + "?"),
      CLI::ExitCodes::ExtrasError);
}

}  // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& body) {
  start_logging();
  // A file past the shell's limit (ulimit -f) is then a failed write like that of a full disk, not a signal that kills.
  std::signal(SIGXFSZ, SIG_IGN);
  explain_lost_files(app.get_name());
  app.set_version_flag("--version", app.get_name() + " " CAPTURE_VERSION);
  app.get_formatter()->column_width(36);
  const auto say = [&](const char* kind, const char* text) {
    std::fprintf(stderr, "%s%s: %s%s\n", std::string(line_start()).c_str(), app.get_name().c_str(), kind, text);
  };
  try {
    check_command(app, argc, argv);
    app.parse(argc, argv);
    body();
    return 0;
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  } catch (const UserError& error) {
    // The message may quote an id or a title of a file that anybody may have made.
    say("", one_line(error.what()).c_str());
    return 1;
  } catch (const std::filesystem::filesystem_error& error) {
    const std::string path = error.path1().string();
    say("", one_line(path.empty() ? error.what() : path + ": " + error.code().message()).c_str());
    return 1;
  } catch (const std::exception& error) {
    if (is_out_of_memory(error)) {
      say("", sentence_of(error).c_str());
      return 1;
    }
    say("internal error, please report it: ", error.what());
    return 3;
  }
}

}  // namespace capture
