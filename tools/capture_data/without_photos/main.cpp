// capture_data, started in milliseconds. Asked to look at photos, it becomes the program that has OpenCV and LibTorch
// in it.
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "capture/base/error.h"
#include "capture_data/commands.h"
#include "capture_data/with_photos/import_images.h"

namespace capture {

namespace {

[[noreturn]] void become_with_photos(char** argv) {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto program = here.parent_path() / "libexec" / "capture_data_photos";
  ::execv(program.c_str(), argv);
  throw UserError({.what = std::string("cannot be started: ") + std::strerror(errno),
                   .where = program.string(),
                   .hint = "keep bin and libexec of the build folder together"});
}

}  // namespace

}  // namespace capture

int main(int argc, char** argv) {
  const auto add_import_images = [argv](CLI::App& app) {
    // Takes whatever follows, --help too: the other program reads it.
    CLI::App* command = app.add_subcommand("import-images", capture::kImportImages);
    command->prefix_command();
    command->set_help_flag();
    command->callback([argv] { capture::become_with_photos(argv); });
  };
  const auto draw_regions = [argv](auto&&...) { capture::become_with_photos(argv); };
  return capture::run_data_program(argc, argv, add_import_images, draw_regions);
}
