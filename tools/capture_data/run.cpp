// capture_data: makes and examines datasets.
#include "capture/base/memory.h"
#include "commands.h"
#include "common/program.h"

namespace capture {

int run_data_program(int argc, char** argv, const std::function<void(CLI::App&)>& add_import_images,
                     const DrawRegions& draw_regions) {
  keep_freed_memory();
  CLI::App app("Makes and examines datasets (*.capshard files, or folders of them).", "capture_data");
  app.footer("Example: capture_data inspect data/train.capshard --sample 3");
  app.require_subcommand(1);
  add_import_tsv(app);
  add_import_lmdb(app);
  add_import_list(app);
  add_import_images(app);
  add_convert(app);
  add_inspect(app, draw_regions);
  add_synth(app);
  add_stats(app);
  add_subset(app);
  add_verify(app);
  return run_program(app, argc, argv, [] {});
}

}  // namespace capture
