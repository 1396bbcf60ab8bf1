#include "capture_search/browser.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace capture {

namespace {

/// Without any of these, xdg-open would fall back on browsers that take over the terminal.
bool has_desktop() {
  for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return true;
  }
  return false;
}

}  // namespace

bool open_in_browser(const std::filesystem::path& file) {
  if (!has_desktop()) return false;
  std::string program = "xdg-open";
  std::string path = std::filesystem::absolute(file).string();
  char* words[] = {program.data(), path.data(), nullptr};
  // A session of its own: Ctrl-C in this terminal must not end the browser, nor what it prints spoil the answers.
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  ::posix_spawn_file_actions_init(&files);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::posix_spawn_file_actions_addopen(&files, descriptor, "/dev/null", O_RDWR, 0);
  }
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, program.c_str(), &files, &attributes, words, environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  return error == 0;
}

}  // namespace capture
