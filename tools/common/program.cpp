#include "common/program.h"

#include <csignal>
#include <cstdio>

#include "capture/base/error.h"
#include "capture/base/log.h"

namespace capture {

int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& body) {
  start_logging();
  // A file past the shell's limit (ulimit -f) is then a failed write like that of a full disk, not a signal that kills.
  std::signal(SIGXFSZ, SIG_IGN);
  app.set_version_flag("--version", app.get_name() + " " CAPTURE_VERSION);
  app.get_formatter()->column_width(36);
  const auto say = [&](const char* kind, const char* text) {
    std::fprintf(stderr, "%s: %s%s\n", app.get_name().c_str(), kind, text);
  };
  try {
    app.parse(argc, argv);
    body();
    return 0;
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  } catch (const UserError& error) {
    say("", error.what());
    return 1;
  } catch (const std::bad_alloc&) {
    say("", "out of memory; use a smaller batch or model, or a machine with more memory");
    return 1;
  } catch (const std::exception& error) {
    say("internal error, please report it: ", error.what());
    return 3;
  }
}

}  // namespace capture
