// capture_data: makes and examines datasets.
#include "commands.h"
#include "common/program.h"

int main(int argc, char** argv) {
  CLI::App app("Makes and examines datasets (*.capshard files, or folders of them).", "capture_data");
  app.footer("Example: capture_data inspect data/train.capshard --sample 3");
  app.require_subcommand(1);
  capture::add_import_tsv(app);
  capture::add_import_lmdb(app);
  capture::add_import_list(app);
  capture::add_import_images(app);
  capture::add_convert(app);
  capture::add_inspect(app);
  capture::add_synth(app);
  capture::add_stats(app);
  capture::add_subset(app);
  capture::add_verify(app);
  return capture::run_program(app, argc, argv, [] {});
}
